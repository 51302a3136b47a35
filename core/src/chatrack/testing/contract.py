"""The complete contract of a store, as tests."""

from typing import Any, Literal, TypeAlias

import pytest

from chatrack.interfaces.store import Store
from chatrack.testing.cancellation import CancellationContract
from chatrack.testing.content import ContentContract
from chatrack.testing.deleted_files import DeletedFilesContract
from chatrack.testing.history import HistoryContract
from chatrack.testing.leases import LeasesContract
from chatrack.testing.ownership import OwnershipContract
from chatrack.testing.paging import PagingContract
from chatrack.testing.pauses import PausesContract
from chatrack.testing.threads import ThreadsContract
from chatrack.testing.turns import TurnsContract
from chatrack.testing.user_limits import UserLimitsContract
from chatrack.testing.withdrawal import WithdrawalContract

LoopScope: TypeAlias = Literal["session", "package", "module", "class", "function"]


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
    UserLimitsContract,
    DeletedFilesContract,
    CancellationContract,
):
    """Tests that every store has to pass.

    A subclass defines one fixture, `store`, which provides a started store whose tables are up to date. All tests
    may share one store, which need not be empty: each test has its own users. The tests use only the methods of
    `Store`.

    Args:
        loop_scope: which tests share an event loop, as pytest-asyncio calls it, given with the class: `class
            TestAcmeStore(StoreContract, loop_scope="module")`. A store that tests share needs their event loop.
    """

    def __init_subclass__(cls, *, loop_scope: LoopScope = "function", **options: Any) -> None:
        super().__init_subclass__(**options)
        pytest.mark.asyncio(loop_scope=loop_scope)(cls)

    async def test_a_store_that_is_started_is_alive(self, store: Store) -> None:
        await store.health()
