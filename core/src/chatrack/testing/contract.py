"""The whole contract of a store, as tests."""

import pytest

from chatrack.interfaces.store import Store
from chatrack.testing.cancellation import CancellationContract
from chatrack.testing.content import ContentContract
from chatrack.testing.history import HistoryContract
from chatrack.testing.leases import LeasesContract
from chatrack.testing.ownership import OwnershipContract
from chatrack.testing.paging import PagingContract
from chatrack.testing.pauses import PausesContract
from chatrack.testing.threads import ThreadsContract
from chatrack.testing.turns import TurnsContract
from chatrack.testing.withdrawal import WithdrawalContract


@pytest.mark.asyncio
class StoreContract(
    OwnershipContract,
    PagingContract,
    ContentContract,
    ThreadsContract,
    HistoryContract,
    LeasesContract,
    TurnsContract,
    WithdrawalContract,
    PausesContract,
    CancellationContract,
):
    """What every store does.

    A class that inherits it has one fixture, `store`, which gives a started store whose tables are up to date.
    It may be the same for all tests, and have other data in it: each test has users of its own. The tests use
    nothing but the methods of `Store`.
    """

    async def test_a_store_that_is_started_is_alive(self, store: Store) -> None:
        await store.health()
