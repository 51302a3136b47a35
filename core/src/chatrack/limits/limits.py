"""All limits of the server: `[limits]`."""

import asyncio
import contextlib
import hashlib
from collections import Counter as Tally
from collections.abc import AsyncIterator, Iterator
from weakref import WeakValueDictionary

import structlog

from chatrack.config import LimitsTable
from chatrack.errors import TooManyRequests, TooManyTurns
from chatrack.interfaces import RequestContext, Store, User
from chatrack.limits.addresses import address_key
from chatrack.limits.counter import Counter
from chatrack.limits.limit import DAY, Limit
from chatrack.limits.roles import LimitsByRole
from chatrack.limits.tokens import TokenBudget, token_budget

FAILURES_WINDOW = 60
"""Seconds in which `auth_failures` are counted."""

TURN_RETRY = 5.0
"""Seconds after which a user with too many turns may try again: nobody knows when one of them ends."""

_log = structlog.get_logger(source="chatrack.limits")


class Limits:
    """Refuses what is beyond the limits. Nothing is limited that is not configured.

    Args:
        table: `[limits]`.
        file: the name of the config file, for errors.

    Raises:
        ConfigError: what is counted in cannot be used.
    """

    def __init__(self, table: LimitsTable, *, file: str) -> None:
        self._counter = Counter(table.storage, table.on_storage_error, file=file)
        self._by_role = LimitsByRole(table)
        self._address_requests = _limit("address_requests", table.address_requests, table.window, _ADDRESS)
        self._auth_failures = _limit("auth_failures", table.auth_failures, FAILURES_WINDOW, _FAILURES)
        self._first_failure = _limit("auth_failures.audit", 1, FAILURES_WINDOW, "")
        self._tenant_tokens = _limit(
            "tenant_tokens_per_day", table.tenant_tokens_per_day, DAY, _TENANT, "chatrack-tokens"
        )
        self._admissions: Tally[tuple[str, str]] = Tally()
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def open(self, workers: int) -> None:
        """Connect to what is counted in, or say that each process counts for itself.

        Args:
            workers: the number of processes of this server.
        """
        names = {limit.name for limit in self._configured()}
        if not names and not self._counter.is_shared:
            return
        await self._counter.open()
        counted = names & _COUNTED
        if not counted or self._counter.is_shared:
            return
        log = _log.warning if workers > 1 else _log.info
        log(
            "limits are per process: each process of each server allows them in full",
            limits=sorted(counted),
            workers=workers,
            setting="limits.storage",
        )

    async def close(self) -> None:
        """Disconnect."""
        await self._counter.close()

    async def describe(self) -> str:
        """Return which limits there are and where they are counted, for people."""
        names = sorted({limit.name for limit in self._configured()})
        if not names:
            return "none"
        answers = (
            "" if not self._counter.is_shared or await self._counter.open() else ", which does not answer"
        )
        return f"{', '.join(names)}; counted {self._counter.place}{answers}"

    # -- requests --------------------------------------------------------------------------------------

    async def check_address(self, address: str | None) -> None:
        """Count a request before it is known whose it is.

        Args:
            address: where it came from.

        Raises:
            TooManyRequests: `address_requests` is reached.
            Unavailable: requests cannot be counted.
        """
        if self._address_requests is not None:
            await self._count(self._address_requests, address_key(address))

    async def check_request(self, user: User) -> None:
        """Count a request of a user.

        Raises:
            TooManyRequests: `requests` is reached.
            Unavailable: requests cannot be counted.
        """
        limit = self._by_role.limits_for(user.roles).requests
        if limit is not None:
            await self._count(limit, _user_key(user))

    async def count_failure(self, address: str | None) -> tuple[TooManyRequests, bool] | None:
        """Count a request with invalid credentials.

        Args:
            address: where it came from.

        Returns:
            None if there were few. Otherwise the refusal to answer with, and whether this is the first one in a while.

        Raises:
            Unavailable: requests cannot be counted.
        """
        if self._auth_failures is None or self._first_failure is None:
            return None
        key = address_key(address)
        wait = await self._counter.wait_for(self._auth_failures, key)
        if not wait:
            return None
        return self._auth_failures.reached(wait), not await self._counter.wait_for(self._first_failure, key)

    # -- turns -----------------------------------------------------------------------------------------

    async def check_turn(
        self, store: Store, context: RequestContext, *, creates_thread: bool, uses_models: bool
    ) -> TokenBudget | None:
        """Check what can be checked before a turn begins.

        Args:
            store: has the usage.
            context: the request.
            creates_thread: whether the turn begins a new thread, which is counted.
            uses_models: whether the turn may use tokens.

        Returns:
            What the turn may use; None if that is not limited.

        Raises:
            TooManyRequests: `threads_per_hour`, `tokens_per_day` or `tenant_tokens_per_day` is reached.
            Unavailable: threads cannot be counted.
        """
        limits = self._by_role.limits_for(context.user.roles)
        budget = None
        if uses_models:
            budget = await token_budget(
                store, context, user=limits.tokens_per_day, tenant=self._tenant_tokens
            )
        if creates_thread and limits.threads_per_hour is not None:
            await self._count(limits.threads_per_hour, _user_key(context.user))
        return budget

    @contextlib.contextmanager
    def admitting(self, user: User) -> Iterator[None]:
        """Return a context in which guardrails may check what a user has sent, before there is a turn.

        It counts as one of the user's turns in this process: guardrails may be slow, and cost money.

        Raises:
            TooManyRequests: as much as `turns_per_user` is being checked already.
        """
        limit = self._by_role.limits_for(user.roles).turns_per_user
        if limit is None:
            yield
            return
        key = (user.tenant_id, user.id)
        if self._admissions[key] >= limit.quota:
            raise limit.reached(TURN_RETRY)
        self._admissions[key] += 1
        try:
            yield
        finally:
            self._admissions[key] -= 1
            if not self._admissions[key]:
                del self._admissions[key]

    @contextlib.asynccontextmanager
    async def beginning(self, user: User) -> AsyncIterator[int | None]:
        """Return a context in which a turn of a user may take its lease.

        The turns of one user take them one after the other in this process: transactions that run at the same time would
        not count each other.

        Returns:
            How many turns the user may have; None if that is not limited.

        Raises:
            TooManyRequests: the store has found that there are as many (`TooManyTurns`).
        """
        limit = self._by_role.limits_for(user.roles).turns_per_user
        if limit is None:
            yield None
            return
        key = (user.tenant_id, user.id)
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        async with lock:
            try:
                yield limit.quota
            except TooManyTurns as error:
                raise limit.reached(TURN_RETRY) from error

    async def _count(self, limit: Limit, key: str) -> None:
        wait = await self._counter.wait_for(limit, key)
        if wait:
            raise limit.reached(wait)

    def _configured(self) -> list[Limit]:
        of_users = [
            limit
            for limits in self._by_role.all()
            for limit in (
                limits.requests,
                limits.turns_per_user,
                limits.threads_per_hour,
                limits.tokens_per_day,
            )
        ]
        found = [self._address_requests, *of_users, self._tenant_tokens, self._auth_failures]
        return [limit for limit in found if limit is not None]


def _limit(name: str, quota: int, window: int, sentence: str, unit: str | None = None) -> Limit | None:
    if not quota:
        return None
    return Limit(name=name, quota=quota, window=window, sentence=sentence, unit=unit)


def _user_key(user: User) -> str:
    """Return the key of a user: of one length, never that of another, and without the ids, which may be personal."""
    return hashlib.blake2b(f"{user.tenant_id}\0{user.id}".encode(), digest_size=16).hexdigest()


_COUNTED = {"address_requests", "requests", "threads_per_hour"}
"""Limits that the processes would have to count together. Others are counted from what the store has."""

_ADDRESS = (
    "Only {quota} requests are accepted from one network address in {window}. Please try again in {wait}."
)
_FAILURES = (
    "Too many requests with invalid credentials came from this network address. Please try again in {wait}."
)
_TENANT = (
    "Your organization has used the {quota} tokens that it has each day. They are there again at midnight UTC. "
    "Please try again in {wait}."
)
