"""What tables hold about users, over every kind of database: in parts, in order, and in whole batches."""

import contextlib
import json
import secrets
from collections.abc import AsyncIterator

import pytest
from chatkit.types import FileAttachment, ThreadMetadata
from sqlalchemy import Column, Integer, MetaData, Table

from chatrack.clock import from_micros, now
from chatrack.errors import LeaseLost
from chatrack.ids import new_id
from chatrack.interfaces import LOCAL_USER, RequestContext, User, UserRecord
from chatrack.interfaces.records import UsageRecord, thread_to_record
from chatrack.sql import Database, OwnedTable, SQLStore, TableData, store_data
from chatrack.sql.tables import items, leases, threads, usage
from chatrack_todo_tools import TodoToolsPlugin
from chatrack_todo_tools.tables import todos
from tests.support.databases import KINDS, SERVERS, execute, new_store_database, require
from tests.support.rows import (
    MOMENT,
    SECOND,
    attachment,
    count,
    everything,
    item,
    make_tables,
    put,
    thread,
    todo,
    use,
)

ADA = User(id="ada", tenant_id="acme")
OWNER = {"tenant_id": ADA.tenant_id, "user_id": ADA.id}


@pytest.fixture(params=KINDS)
async def database(request, tmp_path) -> AsyncIterator[Database]:
    with new_store_database(request.param, tmp_path) as url:
        database = Database(url)
        await database.start()
        yield database
        await database.stop()


@pytest.fixture
def store(database) -> TableData:
    return store_data(database)


@pytest.fixture
def todo_list(database) -> TableData:
    return TodoToolsPlugin(TodoToolsPlugin.Settings()).user_data(database)


async def ids_of(data: TableData, kind: str, user: User = ADA) -> list[str]:
    return [record.fields["id"] async for record in data.export(user) if record.kind == kind]


async def remove_all(batches) -> dict[str, int]:
    total: dict[str, int] = {}
    async for batch in batches:
        for kind, number in batch.items():
            total[kind] = total.get(kind, 0) + number
    return {kind: number for kind, number in total.items() if number}


async def everything_of(*sources: TableData) -> list[UserRecord]:
    """Return what the tables hold about the two other users."""
    others = [User(id="ada"), User(id="bob", tenant_id="acme")]
    return [record for user in others for data in sources async for record in data.export(user)]


# -- export --------------------------------------------------------------------------------------------


async def test_an_export_of_more_than_is_read_at_a_time_has_every_row_once_and_in_order(database, store):
    many = [
        thread(f"thr_{number:03}", *OWNER.values(), created_at=MOMENT + number // 3) for number in range(250)
    ]
    long = [item("thr_007", seq, *OWNER.values()) for seq in range(1, 351)]
    short = [item(f"thr_{number:03}", 1, *OWNER.values()) for number in range(100, 250, 7)]
    await put(database, [*reversed(many), *long, *short])
    seen: list[tuple[str, int]] = []
    async for record in store.export(ADA):
        if record.kind == "thread":
            seen.append((record.fields["id"], 0))
        else:
            assert record.fields["thread_id"] == seen[-1][0]
            seen.append((record.fields["thread_id"], record.fields["seq"]))
    assert seen == sorted(seen)
    assert len(seen) == len(set(seen)) == len(many) + len(long) + len(short)


async def test_an_export_goes_on_where_it_was_when_rows_come_and_go(database, store):
    await put(database, [thread(f"thr_{number:03}", *OWNER.values()) for number in range(250)])
    records = store.export(ADA)
    seen = [(await anext(records)).fields["id"] for _ in range(100)]
    await database.write(
        lambda connection: connection.execute(threads.delete().where(threads.c.id < "thr_150"))
    )
    await put(database, [thread("thr_000", *OWNER.values()), thread("thr_1999", *OWNER.values())])
    seen += [record.fields["id"] async for record in records]
    expected = [*range(100), *range(150, 250)]
    assert seen == sorted([*(f"thr_{number:03}" for number in expected), "thr_1999"])


async def test_json_is_embedded_as_it_is_and_on_one_line(database, store):
    data = '{"n": 1.50, "big": 123456789012345678901234567890,\n "text": "a\\nb \\u00e9 ü"}'
    await put(database, [thread("thr_1", *OWNER.values(), metadata=data, status="not json")])
    [record] = [record async for record in store.export(ADA)]
    metadata = bytes(record.fields["metadata"]).decode()
    assert metadata == data.replace(": ", ":").replace(", ", ",").replace(",\n ", ",")
    assert json.loads(metadata) == json.loads(data)
    assert record.fields["status"] == "not json"


async def test_a_column_with_the_name_of_what_every_line_has_is_renamed(database, store):
    await put(database, everything("1", *OWNER.values()))
    kinds = {record.kind: record.fields async for record in store.export(ADA)}
    assert kinds["feedback"]["feedback_kind"] == "positive"
    assert kinds["pause"]["pause_kind"] == "client_tool"
    assert not {"source", "kind", "tenant_id", "user_id"} & {name for row in kinds.values() for name in row}


async def test_text_is_sorted_by_bytes_whatever_the_language_of_the_database(tmp_path):
    require("postgresql")
    name = f"chatrack_test_{secrets.token_hex(6)}"
    execute(
        "postgresql",
        f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'",
    )
    try:
        database = Database(SERVERS["postgresql"].set(database=name))
        await database.start()
        try:
            await make_tables(database)
            ids = ["thr_a", "thr_B", "thr-c", "thr_é", "THR_a", "thr_1", *(f"thr_{n}x" for n in range(200))]
            await put(database, [thread(thread_id, *OWNER.values()) for thread_id in ids])
            assert await ids_of(store_data(database), "thread") == sorted(ids)
            assert await remove_all(store_data(database).purge(ADA)) == {"thread": len(ids)}
        finally:
            await database.stop()
    finally:
        execute("postgresql", f"DROP DATABASE {name} WITH (FORCE)")


# -- purge ---------------------------------------------------------------------------------------------


async def test_a_purge_removes_all_of_one_user_and_counts_it(database, store, todo_list):
    for number, owner in enumerate([("acme", "ada"), ("default", "ada"), ("acme", "bob")]):
        await put(database, everything(str(number), *owner))
    others = await everything_of(store, todo_list)
    removed = await remove_all(store.purge(ADA))
    assert removed == {"thread": 2, "item": 5, "attachment": 3, "feedback": 1, "pause": 1, "usage": 3}
    assert await remove_all(todo_list.purge(ADA)) == {"todo": 2}
    assert set((await count(database, **OWNER)).values()) == {0}
    assert await everything_of(store, todo_list) == others
    assert len(others) == 2 * 17
    assert await remove_all(store.purge(ADA)) == {}


async def test_a_purge_is_many_transactions(database, store):
    await put(database, [thread(f"thr_{number:03}", *OWNER.values()) for number in range(250)])
    await put(database, [use(f"trn_{number:04}", *OWNER.values()) for number in range(1200)])
    batches = [batch async for batch in store.purge(ADA)]
    assert [batch["thread"] for batch in batches if batch.get("thread")] == [100, 100, 50]
    assert [batch["usage"] for batch in batches if batch.get("usage")] == [500, 500, 200]


async def test_long_threads_are_removed_a_few_at_a_time(database, store):
    sizes = [1500, 400, 3000, 1, 1, 1999, 1]
    await put(
        database,
        [thread(f"thr_{place}", *OWNER.values(), next_seq=size) for place, size in enumerate(sizes)],
    )
    assert [batch["thread"] async for batch in store.purge(ADA)] == [2, 1, 2, 2]


async def test_a_purge_that_was_stopped_has_removed_whole_batches_and_the_next_removes_the_rest(
    database, store
):
    await put(database, [thread(f"thr_{number:03}", *OWNER.values()) for number in range(250)])
    await put(database, [item(f"thr_{number:03}", 1, *OWNER.values()) for number in range(250)])
    async with contextlib.aclosing(store.purge(ADA)) as batches:
        assert await anext(batches) == {
            "thread": 100,
            "item": 100,
            "attachment": 0,
            "feedback": 0,
            "pause": 0,
        }
    left = await count(database, [threads, items])
    assert left == {"threads": 150, "items": 150}
    assert await remove_all(store.purge(ADA)) == {"thread": 150, "item": 150}


async def test_a_running_turn_of_a_purged_thread_writes_nothing_more(database, store):
    chat = SQLStore(database)
    context = RequestContext(user=LOCAL_USER, request_id="req_1")
    new = thread_to_record(ThreadMetadata(id=new_id("thread"), created_at=now()))
    lease = await chat.begin_turn(new.id, context, turn_id="trn_1", seconds=60, create=new)
    assert (await remove_all(store.purge(LOCAL_USER))) == {"thread": 1}
    assert await count(database, [leases]) == {"leases": 0}
    spent = UsageRecord(turn_id="trn_1", agent="a", model="m", thread_id=new.id, created_at=MOMENT)
    with pytest.raises(LeaseLost):
        await chat.end_turn(lease, [], usage=[spent])
    assert await count(database, [threads, usage]) == {"threads": 0, "usage": 0}


async def test_what_a_turn_used_outlives_the_thread_but_not_the_purge(database, store):
    await put(database, everything("1", *OWNER.values()))
    context = RequestContext(user=ADA, request_id="req_1")
    for thread_id in await ids_of(store, "thread"):
        await SQLStore(database).delete_thread(thread_id, context)
    assert await remove_all(store.purge(ADA)) == {"attachment": 1, "usage": 3}


# -- purge by age --------------------------------------------------------------------------------------


async def test_what_is_exactly_as_old_stays(database, store, todo_list):
    moments = {"older": MOMENT - 1, "same": MOMENT, "newer": MOMENT + 1}
    later = MOMENT + 100 * SECOND
    for name, moment in moments.items():
        await put(
            database,
            [
                # Begun long ago; what counts is when it was last written to.
                thread(f"thr_{name}", "acme", f"user-{name}", created_at=1, updated_at=moment),
                item(f"thr_{name}", 1, "acme", f"user-{name}"),
                attachment(f"atc_of_{name}", f"thr_{name}", "acme", f"user-{name}", created_at=1),
                attachment(f"atc_{name}", None, "other", f"user-{name}", created_at=moment),
                use(f"trn_{name}", "acme", f"user-{name}", created_at=moment),
                todo(f"todo_{name}", "acme", f"user-{name}", created_at=1, updated_at=moment),
                todo(f"todo_done_{name}", "acme", "x", created_at=1, updated_at=later, completed_at=moment),
            ],
        )
    limit = from_micros(MOMENT)
    removed = await remove_all(store.purge_before(limit))
    assert removed == {"thread": 1, "item": 1, "attachment": 2, "usage": 1}
    assert await remove_all(todo_list.purge_before(limit)) == {"todo": 1}
    left = await count(database)
    assert left == {
        "threads": 2,
        "items": 2,
        "attachments": 4,
        "feedback": 0,
        "pauses": 0,
        "leases": 0,
        "usage": 2,
        "todos": 5,
    }
    assert (await count(database, user_id="user-older"))["threads"] == 0
    assert await remove_all(store.purge_before(limit)) == {}


async def test_the_old_are_found_among_many_others(database, store):
    everyone = [
        thread(f"thr_{number:04}", "acme", f"user-{number % 9}", updated_at=MOMENT - (number % 5 == 0))
        for number in range(1300)
    ]
    await put(database, everyone)
    batches = [batch["thread"] async for batch in store.purge_before(from_micros(MOMENT))]
    assert sum(batches) == 260
    assert max(batches) <= 100
    assert await count(database, [threads]) == {"threads": 1040}


async def test_what_is_written_to_in_the_meantime_stays(database, store):
    for number in range(3):
        thread_id = f"thr_{number}"
        await put(
            database, [thread(thread_id, *OWNER.values(), next_seq=1500), item(thread_id, 1, *OWNER.values())]
        )
    async with contextlib.aclosing(store.purge_before(from_micros(MOMENT + 1))) as batches:
        assert (await anext(batches))["thread"] == 1
        touch = threads.update().where(threads.c.id == "thr_1").values(updated_at=MOMENT + 1)
        await database.write(lambda connection: connection.execute(touch))
        rest = [(batch["thread"], batch["item"]) async for batch in batches]
    assert rest == [(0, 0), (1, 1)]
    assert [record.fields["id"] async for record in store.export(ADA)] == ["thr_1", "msg_1"]


async def test_an_attachment_that_a_message_takes_in_the_meantime_stays(database, store):
    await put(database, [thread("thr_1", *OWNER.values()), attachment("atc_1", None, *OWNER.values())])
    [loose] = [table for table in store.tables if table.kind == "attachment"]
    taken = FileAttachment(id="atc_1", name="x", mime_type="text/plain", thread_id="thr_1")
    await SQLStore(database).save_attachment(taken, RequestContext(user=ADA, request_id="req_1"))
    found = [{"id": "atc_1"}]
    removed = await database.write(
        lambda connection: loose.remove(connection, found, loose.where, {}, of_user=False)
    )
    assert removed == {"attachment": 0}


# -- tenants -------------------------------------------------------------------------------------------


async def test_tenants_are_those_of_every_kind_of_row(database, store, todo_list):
    assert await store.tenants() == set()
    names = [f"tenant-{number}" for number in range(20)]
    await put(database, [thread(f"thr_{name}_{n}", name, "ada") for name in names for n in range(3)])
    await put(
        database,
        [
            attachment("atc_1", None, "only attachments", "x"),
            use("trn_1", "Only Usage", "x"),
            todo("t", "ü", "x"),
        ],
    )
    assert await store.tenants() == {*names, "only attachments", "Only Usage"}
    assert await todo_list.tenants() == {"ü"}


# -- mistakes of a plugin's author -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "mistake",
    [
        {"order": ["nope"]},
        {"timestamps": ["nope"]},
        {"json_columns": ["nope"]},
        {"age": "nope"},
        {"size": "nope"},
    ],
)
def test_a_column_that_is_not_there_is_named(mistake):
    with pytest.raises(ValueError, match=r"todo_tools_todos has no column nope"):
        OwnedTable(table=todos, kind="todo", **mistake)


def test_parts_have_to_name_what_they_belong_to():
    with pytest.raises(ValueError, match=r"chatrack_threads.*`parent_key`"):
        OwnedTable(table=threads, kind="thread", children=[OwnedTable(table=items, kind="item")])


def test_a_table_without_owners_is_refused():
    table = Table("numbers", MetaData(), Column("id", Integer, primary_key=True))
    with pytest.raises(ValueError, match="tenant_id"):
        OwnedTable(table=table, kind="number")


async def test_rows_without_an_age_are_never_too_old(database):
    await put(database, [todo("todo_1", *OWNER.values(), updated_at=1)])
    data = TableData(database, name="x", tables=[OwnedTable(table=todos, kind="todo")])
    assert [batch async for batch in data.purge_before(now())] == []
    [record] = [record async for record in data.export(ADA)]
    assert (record.kind, record.fields["updated_at"]) == ("todo", 1)
