"""The SQL store's tables: what the migrations create, and what no method of a store shows. The contract tests the rest."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import msgspec
import pytest
from chatkit.types import FileAttachment, UserMessageItem
from sqlalchemy import URL, insert, inspect, select, text

from chatrack.clock import from_micros, to_micros, to_wire
from chatrack.errors import NotFound, StartupError
from chatrack.ids import new_id
from chatrack.interfaces import LOCAL_USER, Lease, RequestContext, ThreadRecord, User
from chatrack.interfaces.records import ItemRecord, PauseRecord, UsageRecord, item_to_record
from chatrack.sql import Database, SQLStore, migrate, store_migrations
from chatrack.sql.tables import feedback, installation, metadata, threads, usage
from tests.support.concurrent_open import open_at_once
from tests.support.databases import KINDS, new_database, new_store_database
from tests.support.rows import thread

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
MINE = RequestContext(user=LOCAL_USER, request_id="req_test")
HEAD = "0004"


@pytest.fixture(params=KINDS)
def url(request, tmp_path) -> Iterator[str]:
    with new_database(request.param, tmp_path) as made:
        yield made


@pytest.fixture
async def migrated(url) -> AsyncIterator[Database]:
    """A database whose tables a test may change."""
    database = Database(url)
    await database.start()
    await migrate(store_migrations(database))
    yield database
    await database.stop()


@pytest.fixture(params=KINDS)
async def database(request, tmp_path) -> AsyncIterator[Database]:
    with new_store_database(request.param, tmp_path) as url:
        database = Database(url)
        await database.start()
        yield database
        await database.stop()


@pytest.fixture
def store(database) -> SQLStore:
    return SQLStore(database)


def item(thread_id: str) -> ItemRecord:
    return item_to_record(
        UserMessageItem(
            id=new_id("message"), thread_id=thread_id, created_at=MOMENT, content=[], inference_options={}
        )
    )


async def begin(store: SQLStore, *items: ItemRecord, thread_id: str = "thr_1", **more) -> Lease:
    thread = ThreadRecord(id=thread_id, created_at=to_micros(MOMENT))
    return await store.begin_turn(
        thread_id, MINE, turn_id=new_id("turn"), seconds=60, create=thread, items=items, **more
    )


async def rows(database: Database, *columns) -> list[tuple]:
    async with database.read() as connection:
        return sorted(tuple(row) for row in await connection.execute(select(*columns)))


async def test_the_tables_are_what_the_migrations_make(migrated):
    def compare(connection):
        from alembic.autogenerate import compare_metadata
        from alembic.runtime.migration import MigrationContext

        options = {"include_name": lambda name, kind, _: kind != "table" or name != "chatrack_version"}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    async with migrated.read() as connection:
        assert await connection.run_sync(compare) == []
        names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert all(name.startswith("chatrack_") for name in names)


async def test_every_table_names_the_owner_of_its_rows():
    for table in metadata.tables.values():
        if table is installation:  # says nothing about users
            continue
        assert {"tenant_id", "user_id"} <= set(table.c.keys()), table.name


async def test_migrating_again_does_nothing_and_a_newer_database_is_refused(migrated):
    assert await migrate(store_migrations(migrated)) == (HEAD, HEAD)
    await migrated.write(
        lambda connection: connection.execute(text("UPDATE chatrack_version SET version_num='9999'"))
    )
    with pytest.raises(StartupError, match="9999.*newer"):
        await migrate(store_migrations(migrated))


async def test_a_migration_of_another_process_that_is_seen_half_done_is_waited_for(database, monkeypatch):
    module = importlib.import_module("chatrack.sql.migrate")  # the package has a function of this name

    async def half_done(_migrations):
        return ("0001", HEAD)  # what MySQL shows between two revisions

    monkeypatch.setattr(module, "revisions", half_done)
    assert await module.make_ready(store_migrations(database)) == (HEAD, HEAD)


async def test_ten_processes_that_start_at_once_migrate_once(url):
    databases = [Database(url) for _ in range(10)]
    for database in databases:
        await database.start()
    results = await asyncio.gather(*(migrate(store_migrations(database)) for database in databases))
    for database in databases:
        await database.stop()
    assert sorted(results, key=str) == [(HEAD, HEAD)] * 9 + [(None, HEAD)]


def test_a_new_file_can_be_opened_by_many_processes_at_once(tmp_path):
    for number in range(6):
        assert open_at_once(tmp_path / f"{number}.db", 8) == [0] * 8


async def test_the_folder_of_a_file_is_made_and_its_name_may_be_any(tmp_path):
    path = tmp_path / "deep" / "folder" / "a b%20?#ü.db"
    database = Database(URL.create("sqlite", database=str(path)))
    await database.start()
    await migrate(store_migrations(database))
    await database.stop()
    assert path.exists()


async def test_the_newest_opinion_of_an_item_is_kept_once_and_none_of_a_refused_request(store, database):
    first, second = item("thr_1"), item("thr_1")
    await begin(store, first, second)
    await store.save_feedback("thr_1", [first.id, second.id, first.id], "positive", MINE)
    await store.save_feedback("thr_1", [second.id], "negative", MINE)
    expected = sorted([(first.id, "positive"), (second.id, "negative")])
    assert await rows(database, feedback.c.item_id, feedback.c.kind) == expected
    with pytest.raises(NotFound):
        await store.save_feedback("thr_1", [first.id, "msg_unknown"], "negative", MINE)
    assert await rows(database, feedback.c.item_id, feedback.c.kind) == expected
    await store.delete_thread_item("thr_1", second.id, MINE)
    assert await rows(database, feedback.c.item_id) == [(first.id,)]


async def test_usage_that_is_noted_again_replaces_what_was_noted(store, database):
    lease = await begin(store)
    used = UsageRecord(turn_id=lease.turn_id, agent="a", model="m", thread_id="thr_1", created_at=1)
    await store.end_turn(lease, usage=[used])
    again = await store.begin_turn("thr_1", MINE, turn_id=lease.turn_id, seconds=60)
    counted = UsageRecord(
        turn_id=lease.turn_id, agent="a", model="m", thread_id="thr_1", created_at=1, input_tokens=2**40
    )
    await store.end_turn(again, usage=[used, counted])
    assert await rows(database, usage.c.turn_id, usage.c.input_tokens) == [(lease.turn_id, 2**40)]


async def test_usage_of_another_user_is_not_replaced(store, database):
    used = UsageRecord(turn_id="trn_1", agent="a", model="m", thread_id="thr_1", created_at=1, requests=1)
    await store.save_usage([used], MINE)
    stranger = RequestContext(user=User(id="stranger"), request_id="req_test")
    other = msgspec.structs.replace(used, agent="b")
    with pytest.raises(NotFound):
        await store.save_usage([other, msgspec.structs.replace(used, requests=99)], stranger)
    assert await rows(database, usage.c.user_id, usage.c.agent, usage.c.requests) == [("local", "a", 1)]
    await store.save_usage([other, msgspec.structs.replace(used, requests=2)], MINE)
    assert await rows(database, usage.c.user_id, usage.c.agent, usage.c.requests) == [
        ("local", "a", 2),
        ("local", "b", 1),
    ]


async def test_a_thread_leaves_nothing_behind_but_what_was_used(store, database):
    attachment = FileAttachment(id=new_id("attachment"), name="a", mime_type="text/plain")
    await store.save_attachment(attachment, MINE)
    first, second = item("thr_1"), item("thr_2")
    claimed = attachment.model_copy(update={"thread_id": "thr_1"})
    lease = await begin(store, first, attachments=[claimed])
    pause = PauseRecord(thread_id="thr_1", item_id=first.id, turn_id="trn_1", kind="x", created_at=1)
    await store.write(lease, pauses=[pause])
    await store.save_feedback("thr_1", [first.id], "positive", MINE)
    used = UsageRecord(turn_id=lease.turn_id, agent="a", model="m", thread_id="thr_1", created_at=1)
    await store.end_turn(lease, usage=[used])
    await begin(store, second, thread_id="thr_2")
    await store.delete_thread("thr_1", MINE)
    left = {}
    for table in metadata.tables.values():
        if table is installation:
            continue
        column = table.c.thread_id if "thread_id" in table.c else table.c.id
        left[table.name.removeprefix("chatrack_")] = await rows(database, column)
    assert left == {
        "threads": [("thr_2",)],
        "items": [("thr_2",)],
        "leases": [("thr_2",)],
        "attachments": [],
        "deleted_files": [(attachment.id,)],
        "feedback": [],
        "pauses": [],
        "usage": [("thr_1",)],
    }


async def test_a_write_that_has_begun_goes_on_without_its_caller_and_stopping_waits_for_it(database):
    begun = asyncio.Event()
    _, row = thread("thr_1", "acme", "ada")

    async def work(connection) -> None:
        begun.set()
        await asyncio.sleep(0.05)
        await connection.execute(insert(threads).values(row))

    task = asyncio.create_task(database.write(work))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await database.stop()
    await database.start()
    assert await rows(database, threads.c.id) == [("thr_1",)]


def test_times_survive_the_way_through_the_store():
    assert from_micros(to_micros(MOMENT)) == MOMENT
    assert to_wire(MOMENT) == "2026-01-02T03:04:05.678901Z"
    assert to_micros(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == -1_000_000


def test_a_user_message_is_encoded_as_chatkit_encodes_it():
    message = UserMessageItem(
        id="msg_1", thread_id="thr_1", created_at=MOMENT, content=[], inference_options={}
    )
    assert item_to_record(message).data == message.model_dump_json(by_alias=True, exclude_none=True)
    assert LOCAL_USER.id == "local"
