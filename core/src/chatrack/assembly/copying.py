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
    """An observer of a copy. This one ignores what it gets."""

    def begin(self, label: str, rows: int) -> None:
        """Start a step.

        Args:
            label: what the step does.
            rows: the number of rows that it processes.
        """

    def advance(self, rows: int) -> None:
        """Add rows that the step has processed."""


async def copy_all(
    source: CopySide, target: CopySide, pairing: Pairing, progress: Progress
) -> Sequence[tuple[str, int]]:
    """Copy all tables and compare the copies. A copy that was interrupted is resumed when it is called again.

    Args:
        source: the config to copy from; its databases are not changed.
        target: the config to copy to; its tables are created or migrated.
        pairing: the tables to copy.
        progress: gets the progress.

    Returns:
        For each table its name and the number of its rows; an empty list if an earlier call had verified them all.

    Raises:
        StartupError: the tables cannot be copied, or the copies differ.
    """
    pairs = pairing.pairs
    async with contextlib.AsyncExitStack() as stack:
        for pair in pairs:
            with source.attribute_errors(pair.source.plugin):
                await open_source(pair.source.value.database)
                stack.push_async_callback(pair.source.value.database.stop)
                await check_source(pair.source.value, config=source.config)
        for pair in pairs:
            with target.attribute_errors(pair.target.plugin):
                await pair.target.value.database.start()
                stack.push_async_callback(pair.target.value.database.stop)
        store = pairs[0]
        identity = database_identity(store.source.value.database)
        with target.attribute_errors(store.target.plugin):
            verified = is_verified(await load_progress(store.target.value.database), source=identity)
        row_counts: list[tuple[str, int]] = []
        if not verified:
            await _make_tables(target, pairs)
            await _copy(source, target, pairs, progress)
            row_counts = await _verify(source, target, pairs, progress)
            with target.attribute_errors(store.target.plugin):
                await mark_verified(store.target.value.database, source=identity)
        await _remove_progress(target, pairs)
    return row_counts


async def _make_tables(target: CopySide, pairs: Sequence[Pair]) -> None:
    # All are checked before the first is changed.
    for pair in pairs:
        with target.attribute_errors(pair.target.plugin):
            copied = await load_progress(pair.target.value.database)
            await check_target(
                pair.target.value, copied, source=database_identity(pair.source.value.database)
            )
    for pair in pairs:
        with target.attribute_errors(pair.target.plugin):
            await make_tables(pair.target.value, source=database_identity(pair.source.value.database))


async def _copy(source: CopySide, target: CopySide, pairs: Sequence[Pair], progress: Progress) -> None:
    progress.begin("copying", await _count(source, pairs))
    for pair in pairs:
        source_database, target_database = pair.source.value.database, pair.target.value.database
        with target.attribute_errors(pair.target.plugin):
            copied = await load_progress(target_database)
        for table in tables_of(pair.source.value):
            table_progress = copied[table.name]
            progress.advance(table_progress.copied)
            with source.attribute_errors(pair.source.plugin):
                async for rows in read_batches(source_database, table, last_key=table_progress.last_key):
                    with target.attribute_errors(pair.target.plugin):
                        table_progress = await write_batch(target_database, table, rows, table_progress)
                    progress.advance(len(rows))
            with target.attribute_errors(pair.target.plugin):
                await reset_sequence(target_database, table)


async def _verify(
    source: CopySide, target: CopySide, pairs: Sequence[Pair], progress: Progress
) -> list[tuple[str, int]]:
    progress.begin("verifying", 2 * await _count(source, pairs))
    row_counts, differences = [], []
    for pair in pairs:
        for table in tables_of(pair.source.value):
            with source.attribute_errors(pair.source.plugin):
                original = await _digest(table, pair.source.value.database, progress)
            with target.attribute_errors(pair.target.plugin):
                copied = await _digest(table, pair.target.value.database, progress)
            if copied != original:
                difference = (
                    f"{copied.rows:,} instead of {original.rows:,} rows"
                    if copied.rows != original.rows
                    else f"{copied.rows:,} rows, not all of them the same"
                )
                differences.append(f"{table.name}: {difference}")
            row_counts.append((table.name, original.rows))
    if differences:
        raise StartupError(
            f"{target.config} does not have what {source.config} has ({'; '.join(differences)}); something was "
            f"written meanwhile: stop what uses the two databases, {EMPTY_HINT} and copy again"
        )
    return row_counts


async def _digest(table: Table, database: Database, progress: Progress) -> Digest:
    digest = Digest()
    async for rows in read_batches(database, table):
        digest = digest.add(rows)
        progress.advance(len(rows))
    return digest


async def _count(source: CopySide, pairs: Sequence[Pair]) -> int:
    total = 0
    for pair in pairs:
        with source.attribute_errors(pair.source.plugin):
            for table in tables_of(pair.source.value):
                total += await count_rows(pair.source.value.database, table)
    return total


async def _remove_progress(target: CopySide, pairs: Sequence[Pair]) -> None:
    # The store's database comes last: its progress records that all tables are verified.
    store = database_identity(pairs[0].target.value.database)
    for pair in sorted(pairs, key=lambda pair: database_identity(pair.target.value.database) == store):
        with target.attribute_errors(pair.target.plugin):
            await remove_progress(pair.target.value.database)
