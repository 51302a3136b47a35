"""The contract finds out stores that break it, and tells an author what is wrong; one that keeps it passes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

OUTLINE = """
import msgspec
import pytest_asyncio
from sqlalchemy import URL, text

from chatrack import NotFound, User
from chatrack.interfaces import ThreadPage
from chatrack.sql import Database, SQLStore, migrate, store_migrations
import chatrack.testing.cancellation
from chatrack.testing import StoreContract

chatrack.testing.cancellation.SETTLE_TIMEOUT = 2.0  # or the store that loses half of a write would cost minutes


class Mine(SQLStore):
    async def row(self, columns, table, key, value):
        async with self.database.read() as connection:
            query = text(f"SELECT {columns} FROM chatrack_{table} WHERE {key} = :value")
            return (await connection.execute(query, {"value": value})).one_or_none()
"""

FIXTURE = """

@pytest_asyncio.fixture(scope="module")
async def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "mine.db"
    store = Mine(Database(URL.create("sqlite", database=str(path))))
    await store.start()
    await migrate(store_migrations(store.database))
    yield store
    await store.stop()


class TestMine(StoreContract):
    pass
"""

SETTINGS = """
[pytest]
asyncio_mode = strict
asyncio_default_fixture_loop_scope = session
asyncio_default_test_loop_scope = session
filterwarnings =
    error
    ignore:Direct usage of named widget classes is deprecated:DeprecationWarning
"""

# What is wrong, the tests that may fail for it (the first one has to) of those that are run, and what the
# author is shown.
BROKEN = {
    "the thread of another user can be read": (
        """
    async def load_record(self, thread_id, context):
        owner = await self.row("tenant_id, user_id", "threads", "id", thread_id.replace("\\0", ""))
        if owner is None:
            raise NotFound("There is no such thread.")
        user = User(tenant_id=owner[0], id=owner[1])
        return await super().load_record(thread_id, msgspec.structs.replace(context, user=user))
""",
        [
            "test_what_is_someone_elses_is_not_found_by[load_record]",
            "test_what_is_someone_elses_is_not_found_by[load_thread]",
            "test_users_whose_ids_look_alike_are_different_users",
        ],
        r"load_record returned ThreadRecord\(",
    ),
    "a cursor skips threads of the same moment": (
        """
    async def page_threads(self, *, after, limit, order, context):
        data = (await super().page_threads(after=None, limit=1000, order=order, context=context)).data
        if after is not None:
            moment = (await self.load_record(after, context)).created_at
            data = [
                one for one in data if (one.created_at > moment if order == "asc" else one.created_at < moment)
            ]
        page, more = data[:limit], len(data) > limit
        return ThreadPage(data=page, has_more=more, after=page[-1].id if more else None)
""",
        ["test_threads_of_the_same_moment_are_all_there"],
        r"assert \['thr_\w+.*\] == \['thr_\w+.*\]\n.*\n.* diff: 'thr_\w+' != 'thr_\w+'",
    ),
    "half of a write is lost when its caller is cancelled": (
        """
    async def write(self, lease, items=(), *, uncommitted=False, **more):
        for item in items:
            await super().write(lease, [item], uncommitted=uncommitted)
        await super().write(lease, **more)
""",
        [
            "test_a_write_is_whole_or_not_at_all_when_its_caller_is_cancelled[write]",
            "test_many_who_are_cancelled_at_once_keep_nobody_else_from_working",
        ],
        r"neither as before nor as after: \{'thread': .*'a'",
    ),
    "a stale fence is accepted": (
        """
    async def write(self, lease, *items, **more):
        held = await self.row("turn_id, fence", "leases", "thread_id", lease.thread_id)
        if held is not None and held[0] is not None:
            lease = msgspec.structs.replace(lease, turn_id=held[0], fence=held[1])
        await super().write(lease, *items, **more)
""",
        [
            "test_a_stale_fence_writes_nothing_with[taken_over-write]",
            "test_a_stale_fence_writes_nothing_with[followed-write]",
            "test_a_stale_fence_writes_nothing_with[repeated-write]",
            "test_a_stale_fence_writes_nothing_with[recreated-write]",
            "test_a_fence_that_was_never_given_is_stale",
            "test_a_stale_write_changes_nothing_of_what_is_there",
            "test_a_thread_that_is_made_anew_has_nothing_of_the_old_one",
            "test_a_write_that_is_refused_notes_no_pause",
        ],
        r"Mine\.write returned None and did not raise LeaseLost",
    ),
    "a turn that has lost its thread is withdrawn": (
        """
    async def withdraw_turn(self, thread_id, context, *, turn_id, **more):
        held = await self.row("turn_id", "leases", "thread_id", thread_id)
        if held is not None and held[0] is not None:
            turn_id = held[0]
        return await super().withdraw_turn(thread_id, context, turn_id=turn_id, **more)
""",
        [
            f"test_a_turn_that_does_not_hold_the_thread_is_not_withdrawn[{created}-{loss}]"
            for loss in ("taken_over", "followed", "recreated")
            for created in (False, True)
        ],
        r"assert True is False",
    ),
}


NEAR = {
    "the thread of another user can be read": "elses or alike",
    "a cursor skips threads of the same moment": "same_moment or page",
    "half of a write is lost when its caller is cancelled": "cancelled and (write or keep)",
    "a stale fence is accepted": "stale or anew or refused",
    "a turn that has lost its thread is withdrawn": "withdrawn",
}
"""The part of the contract that is run over each: all of it takes a while, and is run over the sound one."""


def run_contract(folder: Path, broken: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the contract as the author of a store would, apart from this repository and its settings."""
    (folder / "test_mine.py").write_text(f"{OUTLINE}{broken}{FIXTURE}", encoding="utf-8")
    (folder / "pytest.ini").write_text(SETTINGS, encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rfE",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        *options,
        ".",
    ]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_a_store_that_keeps_the_contract_passes(tmp_path):
    done = run_contract(tmp_path, "")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    assert re.search(r"^2\d\d passed in ", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("fault", BROKEN)
def test_a_store_that_breaks_the_contract_fails_where_it_does(tmp_path, fault):
    broken, about, shown = BROKEN[fault]
    done = run_contract(tmp_path, broken, "-k", NEAR[fault])
    assert done.returncode == 1, done.stdout[-5000:] + done.stderr
    failed = re.findall(r"^(?:FAILED|ERROR) .*?::TestMine::(.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    assert about[0] in failed
    assert not [name for name in failed if not name.startswith(tuple(about))]
    # Asserts are rewritten, so that an author sees what was compared.
    assert re.search(shown, done.stdout)
