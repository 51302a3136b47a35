"""The store contract finds stores that break it, and shows an author what is wrong; one that keeps it passes."""

import re
import textwrap
from typing import NamedTuple

from tests.support.contracts import run_contract

OUTLINE = """
import msgspec
import pytest_asyncio
from sqlalchemy import URL, text

from chatrack import NotFound, User
from chatrack.interfaces import ThreadPage
from chatrack.sql import Database, SQLStore, migrate, store_migrations
from chatrack.testing import StoreContract


class Sound(SQLStore):
    async def row(self, columns, table, key, value):
        async with self.database.read() as connection:
            query = text(f"SELECT {columns} FROM chatrack_{table} WHERE {key} = :value")
            return (await connection.execute(query, {"value": value})).one_or_none()


@pytest_asyncio.fixture(scope="class")
async def store(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "mine.db"
    store = request.cls.kind(Database(URL.create("sqlite", database=str(path))))
    await store.start()
    await migrate(store_migrations(store.database))
    yield store
    await store.stop()


class TestSound(StoreContract):
    kind = Sound


"""

CLASS = """
class {name}(Sound):
{body}

class Test{name}(StoreContract):
    kind = {name}
    settle_timeout = {settle_timeout}


"""


class Broken(NamedTuple):
    """A store that breaks the contract.

    Args:
        body: its methods.
        fails: the tests that fail.
        passes: tests that pass all the same.
        shown: what the author is shown, as a regular expression.
        settle_timeout: the contract's; what this store does wrong is wrong for ever.
    """

    body: str
    fails: list[str]
    passes: list[str]
    shown: str
    settle_timeout: float = 60


BROKEN = {
    "ReadsThreadsOfOthers": Broken(
        body="""
    async def load_record(self, thread_id, context):
        owner = await self.row("tenant_id, user_id", "threads", "id", thread_id.replace("\\0", ""))
        if owner is None:
            raise NotFound("There is no such thread.")
        user = User(tenant_id=owner[0], id=owner[1])
        return await super().load_record(thread_id, msgspec.structs.replace(context, user=user))
""",
        fails=[
            "test_what_is_someone_elses_is_not_found_by[load_record]",
            "test_what_is_someone_elses_is_not_found_by[load_thread]",
            "test_users_whose_ids_look_alike_are_different_users[upper case]",
        ],
        passes=["test_what_is_someone_elses_is_not_found_by[delete_thread]"],
        shown=r"load_record returned ThreadRecord\(",
    ),
    "SkipsThreads": Broken(
        body="""
    async def page_threads(self, *, after, limit, order, context):
        data = (await super().page_threads(after=None, limit=1000, order=order, context=context)).data
        if after is not None:
            moment = (await self.load_record(after, context)).created_at
            data = [
                thread
                for thread in data
                if (thread.created_at > moment if order == "asc" else thread.created_at < moment)
            ]
        page, more = data[:limit], len(data) > limit
        return ThreadPage(data=page, has_more=more, after=page[-1].id if more else None)
""",
        fails=["test_threads_of_the_same_moment_are_all_there"],
        passes=["test_a_store_that_is_started_is_alive"],
        shown=r"assert \['thr_\w+.*\] == \['thr_\w+.*\]\n.*\n.* diff: 'thr_\w+' != 'thr_\w+'",
    ),
    "WritesHalf": Broken(
        body="""
    async def write(self, lease, items=(), *, uncommitted=False, **more):
        for item in items:
            await super().write(lease, [item], uncommitted=uncommitted)
        await super().write(lease, **more)
""",
        fails=["test_a_write_is_whole_or_not_at_all_when_its_caller_is_cancelled[write]"],
        passes=["test_readings_after_a_cancelled_one_are_right[load_history]"],
        shown=r"neither as before nor as after: \{'thread': .*'a'",
        settle_timeout=2,
    ),
    "LetsTooManyTurnsIn": Broken(
        body="""
    async def begin_turn(self, *thread, max_turns=None, **more):
        return await super().begin_turn(*thread, **more)
""",
        fails=["test_a_turn_beyond_the_limit_stores_nothing"],
        passes=["test_the_turn_before_in_the_same_thread_is_waited_for"],
        shown=r"begin_turn returned Lease\(|open returned Lease\(|did not raise TooManyTurns",
    ),
    "AcceptsStaleFences": Broken(
        body="""
    async def write(self, lease, *items, **more):
        held = await self.row("turn_id, fence", "leases", "thread_id", lease.thread_id)
        if held is not None and held[0] is not None:
            lease = msgspec.structs.replace(lease, turn_id=held[0], fence=held[1])
        await super().write(lease, *items, **more)
""",
        fails=[
            "test_a_stale_fence_writes_nothing_with[taken_over-write]",
            "test_a_stale_fence_writes_nothing_with[followed-write]",
            "test_a_stale_fence_writes_nothing_with[repeated-write]",
            "test_a_stale_fence_writes_nothing_with[recreated-write]",
            "test_a_fence_that_was_never_given_is_stale[1]",
            "test_a_stale_write_changes_nothing_of_what_is_there",
            "test_a_thread_that_is_made_anew_has_nothing_of_the_old_one",
            "test_a_write_that_is_refused_notes_no_pause",
        ],
        passes=[
            "test_an_expired_lease_is_taken_over",
            "test_a_stale_fence_writes_nothing_with[taken_over-end_turn]",
        ],
        shown=r"AcceptsStaleFences\.write returned None and did not raise LeaseLost",
    ),
    "WithdrawsLostTurns": Broken(
        body="""
    async def withdraw_turn(self, thread_id, context, *, turn_id, **more):
        held = await self.row("turn_id", "leases", "thread_id", thread_id)
        if held is not None and held[0] is not None:
            turn_id = held[0]
        return await super().withdraw_turn(thread_id, context, turn_id=turn_id, **more)
""",
        fails=[
            "test_a_turn_that_does_not_hold_the_thread_is_not_withdrawn[False-taken_over]",
            "test_a_turn_that_does_not_hold_the_thread_is_not_withdrawn[True-taken_over]",
            "test_a_turn_that_does_not_hold_the_thread_is_not_withdrawn[False-followed]",
            "test_a_turn_that_does_not_hold_the_thread_is_not_withdrawn[True-followed]",
            "test_a_turn_that_does_not_hold_the_thread_is_not_withdrawn[False-recreated]",
            "test_a_turn_that_does_not_hold_the_thread_is_not_withdrawn[True-recreated]",
        ],
        passes=["test_a_stale_write_changes_nothing_of_what_is_there"],
        shown=r"assert True is False",
    ),
}


def test_stores_that_break_the_contract_fail_where_they_do_and_one_that_keeps_it_passes(tmp_path):
    source, chosen = OUTLINE, []
    for name, store in BROKEN.items():
        body = textwrap.indent(textwrap.dedent(store.body), "    ")
        source += CLASS.format(name=name, body=body, settle_timeout=store.settle_timeout)
        for test in (*store.fails, *store.passes):
            chosen += [f"Test{name}::{test}", f"TestSound::{test}"]
    run = run_contract(tmp_path, source, dict.fromkeys(chosen))
    for name, store in BROKEN.items():
        assert run.names("FAILED", f"Test{name}") == set(store.fails), run.output
        assert run.names("PASSED", f"Test{name}") == set(store.passes), run.output
        # Asserts are rewritten, so that an author sees what was compared.
        assert re.search(store.shown, run.output), run.output
    every = {test for store in BROKEN.values() for test in (*store.fails, *store.passes)}
    assert run.names("PASSED", "TestSound") == every, run.output
