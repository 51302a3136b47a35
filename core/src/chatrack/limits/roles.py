"""The limits of a user: those of everybody, or those of the user's roles."""

from collections.abc import Iterable

import msgspec

from chatrack.config import LimitsTable, RoleLimits
from chatrack.limits.limit import DAY, Limit

_HOUR = 3600
_MAX_COMBINATIONS = 1000
"""Combinations of roles that are remembered: they come from credentials, so there may be any number."""


class UserLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of users with the same roles. None stands for no limit."""

    requests: Limit | None
    turns_per_user: Limit | None
    threads_per_hour: Limit | None
    tokens_per_day: Limit | None


class LimitsByRole:
    """Finds the limits of users.

    Args:
        table: `[limits]`.
    """

    def __init__(self, table: LimitsTable) -> None:
        self._table = table
        self._known: dict[frozenset[str], UserLimits] = {}

    def limits_for(self, roles: frozenset[str]) -> UserLimits:
        """Return the limits of a user.

        Where several roles of the user have a value of their own, the most generous one holds.

        Args:
            roles: the roles of the user.
        """
        roles = frozenset(roles & self._table.roles.keys())
        found = self._known.get(roles)
        if found is None:
            if len(self._known) >= _MAX_COMBINATIONS:
                self._known.clear()
            found = self._known[roles] = self._build([self._table.roles[role] for role in roles])
        return found

    def all(self) -> Iterable[UserLimits]:
        """Yield the limits of users without roles, and those of each role."""
        yield self.limits_for(frozenset())
        for role in self._table.roles:
            yield self.limits_for(frozenset({role}))

    def _build(self, overrides: list[RoleLimits]) -> UserLimits:
        table = self._table

        def limit(name: str, sentence: str, window: int | None, unit: str | None = None) -> Limit | None:
            values = [value for table in overrides if (value := getattr(table, name)) is not None]
            quota = (0 if 0 in values else max(values)) if values else getattr(table, name)
            if not quota:
                return None
            return Limit(name=name, quota=quota, window=window, unit=unit, sentence=sentence)

        return UserLimits(
            requests=limit("requests", _REQUESTS, table.window),
            turns_per_user=limit("turns_per_user", _TURNS, None, "concurrent-requests"),
            threads_per_hour=limit("threads_per_hour", _THREADS, _HOUR, "chatrack-threads"),
            tokens_per_day=limit("tokens_per_day", _TOKENS, DAY, "chatrack-tokens"),
        )


_REQUESTS = "Only {quota} requests are accepted in {window}. Please try again in {wait}."
_TURNS = (
    "Only {quota} of your messages can be answered at the same time. Please wait until an answer has ended."
)
_THREADS = "Only {quota} new conversations can be started in an hour. Please try again in {wait}."
_TOKENS = (
    "You have used the {quota} tokens that you have each day. They are yours again at midnight UTC. "
    "Please try again in {wait}."
)
