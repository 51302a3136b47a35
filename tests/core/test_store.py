"""The SQL store over real SQLite: ownership, order, leases, and writes that are whole or not at all."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    FileAttachment,
    HiddenContextItem,
    ThreadMetadata,
    UserMessageItem,
)
from sqlalchemy import URL, inspect, text

import chatrack.sql
from chatrack.clock import from_micros, now, to_micros, to_wire
from chatrack.errors import LeaseLost, NotFound, StartupError, ThreadBusy
from chatrack.ids import new_id
from chatrack.interfaces import LOCAL_USER, Migrations, RequestContext, User
from chatrack.interfaces.records import item_to_record, thread_to_record
from chatrack.sql import Database, SQLStore, migrate
from chatrack.sql.tables import metadata
from tests.support.opening import open_at_once

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


def context(user: str = "local", tenant: str = "default") -> RequestContext:
    return RequestContext(user=User(id=user, tenant_id=tenant), request_id="req_test")


MINE = context()
FOREIGN = [context("other"), context("local", "elsewhere")]


def history(database: Database) -> Migrations:
    from pathlib import Path

    folder = Path(chatrack.sql.__file__).parent / "migrations"
    return Migrations(name="chatrack", folder=folder, version_table="chatrack_version", database=database)


@pytest.fixture
async def database(tmp_path) -> AsyncIterator[Database]:
    database = Database(URL.create("sqlite", database=str(tmp_path / "deep" / "folder" / "a b.db")))
    await database.start()
    await migrate(history(database))
    yield database
    await database.stop()


@pytest.fixture
def store(database: Database) -> SQLStore:
    return SQLStore(database)


def thread() -> ThreadMetadata:
    return ThreadMetadata(id=new_id("thread"), created_at=now(), title="T", metadata={"k": "ü"})


def said(thread_id: str, words: str = "hi", **changes) -> AssistantMessageItem:
    item = AssistantMessageItem(
        id=new_id("message"),
        thread_id=thread_id,
        created_at=MOMENT,
        content=[AssistantMessageContent(text=words)],
    )
    return item.model_copy(update=changes)


def hidden(thread_id: str) -> HiddenContextItem:
    return HiddenContextItem(
        id=new_id("sdk_hidden_context"), thread_id=thread_id, created_at=MOMENT, content={"a": 1}
    )


async def begin(store: SQLStore, thread_id: str, turn: str = "trn_1", seconds: float = 60, **more):
    return await store.begin_turn(thread_id, MINE, turn_id=turn, seconds=seconds, **more)


async def ids(store: SQLStore, thread_id: str) -> list[str]:
    page = await store.load_thread_items(thread_id, None, 100, "asc", MINE)
    return [item.id for item in page.data]


async def test_t31_the_tables_are_what_the_migrations_make(database):
    def compare(connection):
        from alembic.autogenerate import compare_metadata
        from alembic.runtime.migration import MigrationContext

        options = {"include_name": lambda name, kind, _: kind != "table" or name != "chatrack_version"}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    async with database.read() as connection:
        assert await connection.run_sync(compare) == []
        names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert all(name.startswith("chatrack_") for name in names)


async def test_t7_every_table_names_the_owner_of_its_rows():
    for table in metadata.tables.values():
        assert {"tenant_id", "user_id"} <= set(table.c.keys()), table.name


async def test_t31_migrating_again_does_nothing_and_a_newer_database_is_refused(database):
    assert await migrate(history(database)) == ("0001", "0001")
    await database.write(
        lambda connection: connection.execute(text("UPDATE chatrack_version SET version_num='9999'"))
    )
    with pytest.raises(StartupError, match="9999.*newer"):
        await migrate(history(database))


async def test_ten_processes_that_start_at_once_migrate_once(tmp_path):
    url = URL.create("sqlite", database=str(tmp_path / "x.db"))
    databases = [Database(url) for _ in range(10)]
    for one in databases:
        await one.start()
    results = await asyncio.gather(*(migrate(history(one)) for one in databases))
    for one in databases:
        await one.stop()
    assert sorted(results, key=str) == [("0001", "0001")] * 9 + [(None, "0001")]


def test_a_new_file_can_be_opened_by_many_processes_at_once(tmp_path):
    for number in range(6):
        assert open_at_once(tmp_path / f"{number}.db", 8) == [0] * 8


async def test_t7_someone_elses_thread_is_not_found_by_any_method(store):
    mine = thread()
    await store.save_thread(mine, MINE)
    item = said(mine.id)
    await store.add_thread_item(mine.id, item, MINE)
    attachment = FileAttachment(id=new_id("attachment"), name="a", mime_type="text/plain")
    await store.save_attachment(attachment, MINE)
    for other in FOREIGN:
        attempts = [
            store.load_thread(mine.id, other),
            store.save_thread(mine, other),
            store.delete_thread(mine.id, other),
            store.load_thread_items(mine.id, None, 10, "asc", other),
            store.load_thread_items(mine.id, item.id, 10, "asc", other),
            store.thread_with_items(mine.id, limit=10, context=other),
            store.load_item(mine.id, item.id, other),
            store.add_thread_item(mine.id, said(mine.id), other),
            store.save_item(mine.id, item, other),
            store.delete_thread_item(mine.id, item.id, other),
            store.load_history(mine.id, other),
            store.begin_turn(mine.id, other, turn_id="trn_x", seconds=5),
            store.set_title(mine.id, "stolen", other),
            store.save_feedback(mine.id, [item.id], "positive", other),
            store.load_threads(10, mine.id, "desc", other),
            store.load_attachment(attachment.id, other),
            store.save_attachment(attachment, other),
            store.delete_attachment(attachment.id, other),
        ]
        for attempt in attempts:
            with pytest.raises(NotFound):
                await attempt
        assert (await store.load_threads(10, None, "desc", other)).data == []
    assert (await store.load_thread(mine.id, MINE)) == mine
    assert await ids(store, mine.id) == [item.id]


async def test_t7_a_lease_of_one_user_does_not_open_anothers_thread(store):
    mine = thread()
    lease = await begin(store, mine.id, create=thread_to_record(mine))
    import msgspec

    for other in FOREIGN:
        forged = msgspec.structs.replace(lease, user=other.user)
        with pytest.raises(LeaseLost):
            await store.write(forged, [item_to_record(said(mine.id))])
        assert await store.renew([forged], seconds=5) == set()
        await store.checkpoint([(forged, [item_to_record(said(mine.id))], False)])
        with pytest.raises(LeaseLost):
            await store.end_turn(forged)
    assert await ids(store, mine.id) == []


async def test_t18_adding_an_item_again_replaces_it_in_its_place(store):
    mine = thread()
    await store.save_thread(mine, MINE)
    first, second = said(mine.id, "one"), said(mine.id, "two")
    for item in (first, second):
        await store.add_thread_item(mine.id, item, MINE)
    changed = said(mine.id, "one, but better", id=first.id)
    await store.add_thread_item(mine.id, changed, MINE)
    await store.save_item(mine.id, changed, MINE)
    assert await ids(store, mine.id) == [first.id, second.id]
    assert await store.load_item(mine.id, first.id, MINE) == changed


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_t14_pages_are_full_and_miss_nothing_whatever_the_times_and_the_hidden(store, order):
    mine = thread()
    lease = await begin(store, mine.id, create=thread_to_record(mine))
    visible = []
    for _ in range(17):
        item = said(mine.id)  # all at the same time
        visible.append(item.id)
        await store.write(lease, [item_to_record(part) for part in (hidden(mine.id), item, hidden(mine.id))])
    found, after = [], None
    while True:
        page = await store.load_thread_items(mine.id, after, 5, order, MINE)
        found += [item.id for item in page.data]
        if not page.has_more:
            break
        assert len(page.data) == 5
        after = page.after
    assert found == (visible if order == "asc" else visible[::-1])
    assert len(await store.load_history(mine.id, MINE)) == 51


async def test_threads_page_by_creation_in_both_orders_with_equal_times(store):
    made = [thread().model_copy(update={"created_at": MOMENT}) for _ in range(7)]
    for one in made:
        await store.save_thread(one, MINE)
    for order in ("asc", "desc"):
        found, after = [], None
        while True:
            page = await store.load_threads(3, after, order, MINE)
            found += [one.id for one in page.data]
            if not page.has_more:
                break
            after = page.after
        assert found == sorted((one.id for one in made), reverse=order == "desc")


async def test_one_turn_at_a_time_with_a_growing_fence(store):
    mine = thread()
    first = await begin(store, mine.id, create=thread_to_record(mine))
    with pytest.raises(ThreadBusy):
        await begin(store, mine.id, "trn_2")
    await store.end_turn(first)
    second = await begin(store, mine.id, "trn_2")
    assert second.fence > first.fence
    assert not second.interrupted
    for stale in (store.write(first, []), store.end_turn(first), store.start_history_at(first, 1)):
        with pytest.raises(LeaseLost):
            await stale
    assert await store.renew([first, second], seconds=5) == {"trn_2"}


async def test_an_expired_lease_is_taken_over_and_its_holder_writes_nothing_more(store):
    mine = thread()
    dead = await begin(store, mine.id, seconds=0.05, create=thread_to_record(mine))
    await store.write(dead, [item_to_record(said(mine.id, "kept"))])
    await asyncio.sleep(0.1)
    marker, opening = said(mine.id, "marker"), said(mine.id, "opening")
    alive = await begin(
        store, mine.id, "trn_2", items=[item_to_record(opening)], after_interruption=[item_to_record(marker)]
    )
    assert alive.interrupted
    late = item_to_record(said(mine.id, "late"))
    for attempt in (store.write(dead, [late]), store.end_turn(dead, [late])):
        with pytest.raises(LeaseLost):
            await attempt
    await store.checkpoint([(dead, [late], False), (alive, [item_to_record(said(mine.id, "mine"))], False)])
    assert await store.renew([dead], seconds=60) == set()
    words = [
        item.content[0].text for item in (await store.load_thread_items(mine.id, None, 9, "asc", MINE)).data
    ]
    assert words == ["kept", "marker", "opening", "mine"]


async def test_t10_a_retry_whose_process_died_leaves_the_old_answer_as_it_was(store):
    mine = thread()
    lease = await begin(store, mine.id, create=thread_to_record(mine))
    old = said(mine.id, "old")
    await store.end_turn(lease, [item_to_record(old)])
    dead = await begin(store, mine.id, "trn_2", seconds=0.05)
    await store.write(dead, [item_to_record(said(mine.id, "half"), turn_id="trn_2")], uncommitted=True)
    await asyncio.sleep(0.1)
    marker = item_to_record(said(mine.id, "interrupted"))
    await begin(store, mine.id, "trn_3", after_interruption=[marker])
    assert [record.id for record in await store.load_history(mine.id, MINE)] == [old.id]


async def test_t22_an_attachment_belongs_to_one_thread(store):
    attachment = FileAttachment(id=new_id("attachment"), name="a", mime_type="text/plain")
    await store.save_attachment(attachment, MINE)
    first, second = thread(), thread()

    def claimed(by: ThreadMetadata) -> FileAttachment:
        return attachment.model_copy(update={"thread_id": by.id})

    await begin(store, first.id, create=thread_to_record(first), attachments=[claimed(first)])
    with pytest.raises(NotFound):
        await begin(store, second.id, create=thread_to_record(second), attachments=[claimed(second)])
    with pytest.raises(NotFound):
        await store.load_thread(second.id, MINE)
    assert (await store.load_attachment(attachment.id, MINE)).thread_id == first.id
    await store.delete_thread(first.id, MINE)
    with pytest.raises(NotFound):
        await store.load_attachment(attachment.id, MINE)


async def test_an_expired_lease_that_nobody_took_is_renewed(store):
    mine = thread()
    lease = await begin(store, mine.id, seconds=0.01, create=thread_to_record(mine))
    await asyncio.sleep(0.05)
    assert await store.renew([lease], seconds=60) == {"trn_1"}
    with pytest.raises(ThreadBusy):
        await begin(store, mine.id, "trn_2")


async def test_t10_uncommitted_items_are_invisible_until_they_replace_the_old_ones(store):
    mine = thread()
    lease = await begin(store, mine.id, create=thread_to_record(mine))
    old = said(mine.id, "old")
    await store.end_turn(lease, [item_to_record(old)])
    retry = await begin(store, mine.id, "trn_2")
    new = said(mine.id, "new")
    await store.write(retry, [item_to_record(new, turn_id="trn_2")], uncommitted=True)
    assert await ids(store, mine.id) == [old.id]
    assert [record.id for record in await store.load_history(mine.id, MINE)] == [old.id]
    await store.end_turn(retry, replace=[old.id])
    assert await ids(store, mine.id) == [new.id]
    again = await begin(store, mine.id, "trn_3")
    await store.write(again, [item_to_record(said(mine.id), turn_id="trn_3")], uncommitted=True)
    await store.end_turn(again, drop=True)
    assert await ids(store, mine.id) == [new.id]


async def test_deleting_a_thread_revokes_its_lease(store):
    mine = thread()
    lease = await begin(store, mine.id, create=thread_to_record(mine))
    await store.delete_thread(mine.id, MINE)
    with pytest.raises(LeaseLost):
        await store.write(lease, [item_to_record(said(mine.id))])
    with pytest.raises(NotFound):
        await store.load_thread(mine.id, MINE)


async def test_t11_a_title_is_changed_alone_and_only_if_it_is_the_expected_one(store):
    mine = thread()
    await store.save_thread(mine, MINE)
    await store.set_title(mine.id, "by the user", MINE)
    assert not await store.replace_title(mine.id, "T", "by the model", MINE)
    assert not await store.replace_title(mine.id, None, "by the model", MINE)
    assert await store.replace_title(mine.id, "by the user", "again", MINE)
    assert (await store.load_thread(mine.id, MINE)) == mine.model_copy(update={"title": "again"})


async def test_a_write_whose_caller_is_cancelled_is_whole(store):
    mine = thread()
    lease = await begin(store, mine.id, create=thread_to_record(mine))
    pairs = []
    for number in range(40):
        pair = [item_to_record(said(mine.id, f"{number} {part}")) for part in "ab"]
        pairs.append([record.id for record in pair])
        task = asyncio.create_task(store.write(lease, pair))
        for _ in range(number % 8):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await store.end_turn(lease)
    found = set(await ids(store, mine.id))
    for first, second in pairs:
        assert (first in found) == (second in found)


async def test_fifty_concurrent_writers_lose_nothing(store):
    made = [thread() for _ in range(50)]

    async def write(one: ThreadMetadata) -> None:
        lease = await begin(store, one.id, f"trn_{one.id}", create=thread_to_record(one))
        for number in range(4):
            await store.write(lease, [item_to_record(said(one.id, str(number)))])
        await store.end_turn(lease)

    await asyncio.gather(*map(write, made))
    for one in made:
        page = await store.load_thread_items(one.id, None, 10, "asc", MINE)
        assert [item.content[0].text for item in page.data] == ["0", "1", "2", "3"]


async def test_unicode_and_large_items_come_back_as_they_went_in(store):
    mine = thread()
    await store.save_thread(mine, MINE)
    for words in ('😀 ünïcödé \u2028 \\ " \ud7ff', "x" * 1_000_000):
        item = said(mine.id, words)
        await store.add_thread_item(mine.id, item, MINE)
        assert await store.load_item(mine.id, item.id, MINE) == item


async def test_t8_naive_times_are_stored_as_utc(store):
    mine = thread()
    await store.save_thread(mine, MINE)
    local = datetime(2026, 5, 4, 3, 2, 1)  # noqa: DTZ001  (what upstream helpers write)
    item = said(mine.id, created_at=local)
    await store.add_thread_item(mine.id, item, MINE)
    stored = await store.load_item(mine.id, item.id, MINE)
    assert stored.created_at == local.astimezone(UTC)
    assert stored.created_at.utcoffset() == UTC.utcoffset(None)


def test_times_survive_the_way_through_the_store():
    assert from_micros(to_micros(MOMENT)) == MOMENT
    assert to_wire(MOMENT) == "2026-01-02T03:04:05.678901Z"
    assert to_micros(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == -1_000_000


def test_a_user_message_is_encoded_as_chatkit_encodes_it():
    item = UserMessageItem(id="msg_1", thread_id="thr_1", created_at=MOMENT, content=[], inference_options={})
    record = item_to_record(item)
    assert record.data == item.model_dump_json(by_alias=True, exclude_none=True)
    assert LOCAL_USER.id == "local"
