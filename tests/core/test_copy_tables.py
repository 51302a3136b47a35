"""Copying tables of every kind: all types of columns, every order of keys, batches of a bounded size."""

import datetime as dt
import decimal
import enum
import uuid
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from chatrack.sql import Database
from chatrack.sql.copying import Digest, batches, read_batches, reset_sequence, write_batch
from chatrack.sql.copying.progress import TableProgress, add_progress, load_progress
from tests.support.databases import KINDS, new_database


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


metadata = sa.MetaData()

TYPES = sa.Table(
    "types",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("flag", sa.Boolean),
    sa.Column("big", sa.BigInteger),
    sa.Column("real", sa.Double),
    sa.Column("exact", sa.Numeric(20, 6)),
    sa.Column("text", sa.Text),
    sa.Column("blob", sa.LargeBinary),
    sa.Column("json", sa.JSON(none_as_null=True)),
    sa.Column("day", sa.Date),
    sa.Column("moment", sa.DateTime),
    sa.Column("aware", sa.DateTime(timezone=True)),
    sa.Column("uuid", sa.Uuid),
    sa.Column("colour", sa.Enum(Colour)),
    sa.Column("metadata", sa.String(10), key="renamed"),
)

KEYS = sa.Table(
    "keys",
    metadata,
    sa.Column("value", sa.Text),
    sa.Column("first", sa.String(20), primary_key=True),
    sa.Column("second", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("third", sa.Uuid, primary_key=True),
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
)

NOTHING = dict.fromkeys(TYPES.c.keys())
VALUES = [
    {**NOTHING, "id": 1},
    {
        "id": 2,
        "flag": False,
        "big": -(2**63),
        "real": 0.1 + 0.2,
        "exact": decimal.Decimal("-12345678.567891"),
        "text": "",
        "blob": b"",
        "json": {},
        "day": dt.date(1, 1, 1),
        "moment": dt.datetime(1969, 12, 31, 23, 59, 59),  # noqa: DTZ001  (without a zone, as the column)
        "aware": dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC),
        "uuid": uuid.UUID(int=0),
        "colour": Colour.RED,
        "renamed": "",
    },
    {
        **NOTHING,
        "id": 2**31 - 2,
        "flag": True,
        "big": 2**63 - 1,
        "real": -1e300,
        "text": "😀\\'\"%s",
        "blob": bytes(range(256)),
        "json": {"b": [1, None, "😀"], "a": {"d": 1.5, "c": True}},
        "uuid": uuid.UUID(int=2**128 - 1),
        "colour": Colour.BLUE,
        "renamed": "x",
    },
]


@pytest.fixture(params=KINDS)
async def database(request, tmp_path) -> AsyncIterator[Database]:
    """A database of each kind, with the tables in it."""
    with new_database(request.param, tmp_path) as url:
        database = Database(url)
        await database.start()
        async with database.migrating() as connection:
            await connection.run_sync(metadata.create_all)
        yield database
        await database.stop()


@pytest.fixture
async def sqlite(tmp_path) -> AsyncIterator[Database]:
    (tmp_path / "other").mkdir()
    with new_database("sqlite", tmp_path / "other") as url:
        database = Database(url)
        await database.start()
        async with database.migrating() as connection:
            await connection.run_sync(metadata.create_all)
        yield database
        await database.stop()


async def insert(database, table, rows):
    await database.write(lambda connection: connection.execute(sa.insert(table), rows))


async def read(database, table):
    return [row async for rows in read_batches(database, table) for row in rows]


async def copy(source, target, table):
    await add_progress(target, [TableProgress(name=str(table.name), source="x")])
    note = (await load_progress(target))[table.name]
    async for rows in read_batches(source, table, last_key=note.last_key):
        note = await write_batch(target, table, rows, note)
    await reset_sequence(target, table)
    assert (await load_progress(target))[table.name] == note


async def test_values_of_every_type_survive_the_way_there_and_back(database, sqlite):
    await insert(sqlite, TYPES, VALUES)
    original = [list(row) for row in await read(sqlite, TYPES)]
    assert [list(row.values()) for row in VALUES] == original
    await copy(sqlite, database, TYPES)
    there = await read(database, TYPES)
    assert Digest().add(there) == Digest().add(original)
    assert [list(row) for row in there] == original
    await sqlite.write(lambda connection: connection.execute(sa.delete(TYPES)))
    await copy(database, sqlite, TYPES)
    assert [list(row) for row in await read(sqlite, TYPES)] == original


async def test_new_rows_are_numbered_after_those_that_were_copied(database, sqlite):
    await insert(sqlite, TYPES, VALUES)
    await copy(sqlite, database, TYPES)
    await insert(database, TYPES, [{"flag": True}])
    assert max(row[0] for row in await read(database, TYPES)) == 2**31 - 1


async def test_a_table_without_rows_is_numbered_from_one(database, sqlite):
    await copy(sqlite, database, TYPES)
    await insert(database, TYPES, [{"flag": True}])
    assert [row[0] for row in await read(database, TYPES)] == [1]


async def test_keys_of_several_columns_are_read_once_each_from_wherever_it_goes_on(database, monkeypatch):
    letters = ["a", "B", "A", "b", "ä", "Z", "_", "~", "10", "9", "a a", "ß", "ss", "😀", "e\u0301", "é"]
    made = [
        {"first": first, "second": second, "third": uuid.UUID(int=third), "value": first}
        for first in letters
        for second in (-1, 0, 2**40)
        for third in (1, 2)
    ]
    await insert(database, KEYS, made)
    whole = await read(database, KEYS)
    assert len(whole) == len(set(whole)) == len(made)
    for size in (1, 2, 5, 96, 97):
        monkeypatch.setattr(batches, "ROWS", size)
        found = [rows async for rows in read_batches(database, KEYS)]
        assert [row for rows in found for row in rows] == whole
        assert {len(rows) for rows in found[:-1]} <= {size}


@pytest.mark.parametrize("text", ["x" * 1000, "ü" * 1000, "😀" * 1000])
async def test_a_batch_holds_no_more_than_so_many_bytes_but_at_least_a_row(text, database, monkeypatch):
    await insert(database, TYPES, [{"id": number, "text": text} for number in range(1, 21)])
    for limit, largest in ((100, 1), (8 * len(text), 8), (10**9, 20)):
        monkeypatch.setattr(batches, "BYTES", limit)
        sizes = [len(rows) async for rows in read_batches(database, TYPES)]
        assert sum(sizes) == 20
        assert max(sizes) <= largest
        assert len(sizes) < 20 or largest == 1


def test_a_digest_does_not_depend_on_the_order_but_on_everything_else():
    rows = [(1, None, ""), (2, "a", "b"), (3, "ab", ""), (4, "1", True)]
    digest = Digest().add(rows)
    assert digest == Digest().add(rows[::-1]) == Digest().add(rows[:1]).add(rows[1:])
    others = [
        rows[1:],
        [*rows, rows[0]],
        [(1, "", None), *rows[1:]],
        [(1, None, None), *rows[1:]],
        [rows[0], (2, "ab", ""), (3, "a", "b"), rows[3]],
        [*rows[:3], (4, 1, True)],
        [*rows[:3], (4, "1", 1)],
        [*rows[:3], (4, "1", "true")],
    ]
    sums = {digest.sum, *(Digest().add(other).sum for other in others)}
    assert len(sums) == len(others) + 1
