"""Copying everything from the databases of one config into those of another."""

import contextlib
from collections.abc import Sequence

from sqlalchemy import Table

from chatrack.assembly.pairing import CopySide, Pair, Pairing
from chatrack.errors import StartupError
from chatrack.sql.copying import (
    EMPTY_HINT,
    Digest,
    check_source,
    check_target,
    count_rows,
    database_identity,
    is_verified,
    load_progress,
    make_tables,
    mark_verified,
    open_source,
    read_batches,
    remove_progress,
    reset_sequence,
    tables_of,
    write_batch,
)
from chatrack.sql.database import Database


class Progress:
    """Is told how far a copy has come; this one keeps it to itself."""

    def begin(self, what: str, rows: int) -> None:
        """Something with so many rows begins."""

    def advance(self, rows: int) -> None:
        """So many rows more are done."""


async def copy_all(
    source: CopySide, target: CopySide, pairing: Pairing, progress: Progress
) -> Sequence[tuple[str, int]]:
    """Copy all tables and compare them. What is interrupted goes on where it was when it is called again.

    Args:
        source: where it is copied from; nothing is changed there.
        target: where to; its tables are made, or migrated.
        pairing: what `pair` found.
        progress: is told how far it is.

    Returns:
        For each table its name and the number of its rows; nothing if an earlier call had compared them all.

    Raises:
        StartupError: it cannot be copied, or the copy is not what the source is.
    """
    pairs = pairing.pairs
    async with contextlib.AsyncExitStack() as stack:
        for one in pairs:
            with source.attribute_errors(one.source.plugin):
                await open_source(one.source.value.database)
                stack.push_async_callback(one.source.value.database.stop)
                await check_source(one.source.value, config=source.config)
        for one in pairs:
            with target.attribute_errors(one.target.plugin):
                await one.target.value.database.start()
                stack.push_async_callback(one.target.value.database.stop)
        store = pairs[0]
        place = database_identity(store.source.value.database)
        with target.attribute_errors(store.target.plugin):
            verified = is_verified(await load_progress(store.target.value.database), source=place)
        done: list[tuple[str, int]] = []
        if not verified:
            await _make_tables(target, pairs)
            await _copy(source, target, pairs, progress)
            done = await _verify(source, target, pairs, progress)
            with target.attribute_errors(store.target.plugin):
                await mark_verified(store.target.value.database, source=place)
        await _remove_progress(target, pairs)
    return done


async def _make_tables(target: CopySide, pairs: Sequence[Pair]) -> None:
    # All are looked at before the first is changed.
    for one in pairs:
        with target.attribute_errors(one.target.plugin):
            notes = await load_progress(one.target.value.database)
            await check_target(one.target.value, notes, source=database_identity(one.source.value.database))
    for one in pairs:
        with target.attribute_errors(one.target.plugin):
            await make_tables(one.target.value, source=database_identity(one.source.value.database))


async def _copy(source: CopySide, target: CopySide, pairs: Sequence[Pair], progress: Progress) -> None:
    progress.begin("copying", await _count(source, pairs))
    for one in pairs:
        origin, destination = one.source.value.database, one.target.value.database
        with target.attribute_errors(one.target.plugin):
            notes = await load_progress(destination)
        for table in tables_of(one.source.value):
            note = notes[table.name]
            progress.advance(note.copied)
            with source.attribute_errors(one.source.plugin):
                async for rows in read_batches(origin, table, last_key=note.last_key):
                    with target.attribute_errors(one.target.plugin):
                        note = await write_batch(destination, table, rows, note)
                    progress.advance(len(rows))
            with target.attribute_errors(one.target.plugin):
                await reset_sequence(destination, table)


async def _verify(
    source: CopySide, target: CopySide, pairs: Sequence[Pair], progress: Progress
) -> list[tuple[str, int]]:
    progress.begin("verifying", 2 * await _count(source, pairs))
    done, differences = [], []
    for one in pairs:
        for table in tables_of(one.source.value):
            with source.attribute_errors(one.source.plugin):
                original = await _digest(table, one.source.value.database, progress)
            with target.attribute_errors(one.target.plugin):
                copied = await _digest(table, one.target.value.database, progress)
            if copied != original:
                instead = (
                    f"{copied.rows:,} instead of {original.rows:,} rows"
                    if copied.rows != original.rows
                    else f"{copied.rows:,} rows, not all of them the same"
                )
                differences.append(f"{table.name}: {instead}")
            done.append((table.name, original.rows))
    if differences:
        raise StartupError(
            f"{target.config} does not have what {source.config} has ({'; '.join(differences)}); something was "
            f"written meanwhile: stop what uses the two databases, {EMPTY_HINT} and copy again"
        )
    return done


async def _digest(table: Table, database: Database, progress: Progress) -> Digest:
    digest = Digest()
    async for rows in read_batches(database, table):
        digest = digest.add(rows)
        progress.advance(len(rows))
    return digest


async def _count(source: CopySide, pairs: Sequence[Pair]) -> int:
    total = 0
    for one in pairs:
        with source.attribute_errors(one.source.plugin):
            for table in tables_of(one.source.value):
                total += await count_rows(one.source.value.database, table)
    return total


async def _remove_progress(target: CopySide, pairs: Sequence[Pair]) -> None:
    # Those of the store's database last: they say that all is done.
    last = database_identity(pairs[0].target.value.database)
    for one in sorted(pairs, key=lambda pair: database_identity(pair.target.value.database) == last):
        with target.attribute_errors(one.target.plugin):
            await remove_progress(one.target.value.database)
