"""The store contract over every kind of database, and what makes it complete and cheap for authors."""

import os
import subprocess
import sys
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from chatrack.interfaces import Store
from chatrack.sql import Database, SQLStore
from chatrack.testing import StoreContract
from chatrack.testing.leases import leased_methods, taken_over
from chatrack.testing.tenant_isolation import LOOKALIKES, owned_methods
from tests.support.databases import SERVERS, new_store_database
from tests.support.waiting import PROCESS_LIMIT


@pytest.fixture(scope="module")
def url(request, tmp_path_factory) -> Iterator[str]:
    """One database of each kind for all tests: none may depend on what is in it."""
    with new_store_database(request.param, tmp_path_factory.mktemp("store")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(url) -> AsyncIterator[Store]:
    store = SQLStore(Database(url))
    await store.start()
    yield store
    await store.stop()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True, scope="module")
class TestOverSQLite(StoreContract, loop_scope="module"):
    pass


COMPARED = [
    look for look in LOOKALIKES if not look.startswith("separator") and look not in {"exchanged", "wildcard"}
]
"""Users whose ids are others only to a database that compares them exactly."""

UPSERTS = ["begin_turn", "put_item", "put_thread", "save_attachment", "save_usage"]
"""Methods whose statements differ from one kind of database to the other."""


@pytest.mark.parametrize("url", SERVERS, indirect=True, scope="module")
class TestOverServers(StoreContract, loop_scope="module"):
    # What differs from SQLite: collations, upserts, the clock, and drivers. The statements are the same otherwise.

    @pytest.mark.parametrize("look", COMPARED)
    async def test_users_whose_ids_look_alike_are_different_users(self, store, look):
        await super().test_users_whose_ids_look_alike_are_different_users(store, look)

    @pytest.mark.parametrize("method", UPSERTS)
    async def test_what_is_someone_elses_is_not_found_by(self, store, method):
        await super().test_what_is_someone_elses_is_not_found_by(store, method)

    @pytest.mark.parametrize("method", leased_methods())
    @pytest.mark.parametrize("loss", [taken_over])
    async def test_a_stale_fence_writes_nothing_with(self, store, method, loss):
        await super().test_a_stale_fence_writes_nothing_with(store, method, loss)

    # All methods write through `Database.write`.
    @pytest.mark.parametrize(
        "method", ["begin_turn", "delete_thread", "end_turn", "save_attachment", "write"]
    )
    async def test_a_write_is_whole_or_not_at_all_when_its_caller_is_cancelled(self, store, method):
        await super().test_a_write_is_whole_or_not_at_all_when_its_caller_is_cancelled(store, method)


def test_a_new_method_of_the_interface_asks_for_tests():
    class Grown(Store):
        @abstractmethod
        async def peek(self, lease) -> None: ...

    assert set(owned_methods(Grown)) - set(owned_methods()) == {"peek"}
    assert set(leased_methods(Grown)) - set(leased_methods()) == {"peek"}


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PROCESS_LIMIT,
        check=False,
    )


def test_pytest_alone_does_not_load_chatrack(tmp_path):
    (tmp_path / "test_mine.py").write_text("def test_it():\n    pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = python(
        "import pytest, sys\n"
        "assert pytest.main([sys.argv[1], '-q']) == 0\n"
        "print([name for name in sys.modules if name.startswith('chatrack')])",
        str(tmp_path),
    )
    assert done.stdout.splitlines()[-1] == "['chatrack_pytest']", done.stdout + done.stderr


@pytest.mark.parametrize("missing", ["pytest", "pytest_asyncio"])
def test_without_pytest_the_error_says_what_to_install(missing):
    done = python(f"import sys; sys.modules[{missing!r}] = None; import chatrack.testing")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ModuleNotFoundError: chatrack.testing needs {missing}; install `chatrack[testing]`, which brings it"
    )
