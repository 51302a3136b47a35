"""Tokens of a day: what is left of them for a turn."""

from datetime import timedelta

import msgspec

from chatrack.clock import now, to_micros
from chatrack.interfaces import RequestContext, Store
from chatrack.limits.limit import Limit


class _Account(msgspec.Struct, frozen=True):
    limit: Limit
    used: int


class TokenBudget:
    """What a turn may use of the tokens of its user and its tenant.

    What other turns use meanwhile is not seen: usage is stored when a turn ends.

    Args:
        accounts: the limits, with what was used of them before the turn.
        ends_at: when the day ends, in microseconds since 1970.
    """

    def __init__(self, accounts: list[_Account], ends_at: int) -> None:
        self._accounts = accounts
        self._ends_at = ends_at

    def check(self, tokens: int) -> None:
        """Refuse to use more tokens if there are none left.

        Args:
            tokens: what the turn has used so far.

        Raises:
            TooManyRequests: a limit is reached.
        """
        left = self._ends_at - to_micros(now())
        for account in self._accounts:
            # The turn's own usage is stored at its end: once the day is over, it alone counts for the next one.
            used = tokens + (account.used if left > 0 else 0)
            if used >= account.limit.quota:
                raise account.limit.reached(left / 1e6)


async def token_budget(
    store: Store, context: RequestContext, *, user: Limit | None, tenant: Limit | None
) -> TokenBudget | None:
    """Return what a new turn may use; None if there is no limit.

    Args:
        store: has the usage.
        context: the request.
        user: the limit of the user, if there is one.
        tenant: the limit of the user's tenant, if there is one.

    Raises:
        TooManyRequests: nothing is left.
    """
    if user is None and tenant is None:
        return None
    day = now().replace(hour=0, minute=0, second=0, microsecond=0)
    since = to_micros(day)
    accounts = []
    if user is not None:
        accounts.append(_Account(user, await store.tokens_used(context, since=since)))
    if tenant is not None:
        accounts.append(_Account(tenant, await store.tokens_used(context, since=since, whole_tenant=True)))
    budget = TokenBudget(accounts, to_micros(day + timedelta(days=1)))
    budget.check(0)
    return budget
