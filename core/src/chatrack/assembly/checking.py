"""Checking whether an assembly would start, without writing anything."""

import contextlib

import msgspec

from chatrack.assembly.assembly import Assembly
from chatrack.assembly.running import attribute_errors
from chatrack.sql.copying import check_complete
from chatrack.sql.migrate import revisions


class TablesState(msgspec.Struct, frozen=True, kw_only=True):
    """The tables of one plugin, compared with what this version of the code needs.

    Args:
        plugin: the plugin whose migrations create them.
        revision: their revision; None if they do not exist.
        needed: the newest revision of the plugin's migrations.
        auto_migrate: whether the server brings them up to date when it starts.
    """

    plugin: str
    revision: str | None
    needed: str | None
    auto_migrate: bool

    @property
    def prevents_start(self) -> bool:
        """Whether the server refuses to start until `chatrack migrate` has run."""
        return self.revision not in {None, self.needed} and not self.auto_migrate

    def __str__(self) -> str:
        if self.revision == self.needed:
            return f"current ({self.needed})"
        if self.revision is None:
            return "missing; created at start"
        advice = "run `chatrack migrate`" if self.prevents_start else "migrated at start"
        return f"older ({self.revision}, this version needs {self.needed}); {advice}"


async def check_connections(assembly: Assembly) -> list[TablesState]:
    """Connect to the store, the file store and all databases, and look at the tables. Nothing is created or changed.

    A SQLite file that does not exist counts as an empty database. Lifespans are not entered.

    Args:
        assembly: the assembly; not running.

    Raises:
        StartupError: something cannot be reached, or its tables are newer than this version of the code.
    """
    states = []
    async with contextlib.AsyncExitStack() as stack:
        with attribute_errors(assembly, assembly.store_plugin):
            await _connect_store(assembly, stack)
        if assembly.file_store is not None:
            with attribute_errors(assembly, assembly.file_store.plugin):
                await assembly.file_store.value.start()
                stack.push_async_callback(assembly.file_store.value.stop)
                await assembly.file_store.value.health()
        for migrations in assembly.migrations:
            database = migrations.value.database
            with attribute_errors(assembly, migrations.plugin):
                await database.start(read_only=True)
                stack.push_async_callback(database.stop)
                revision, needed = await revisions(migrations.value)
            states.append(
                TablesState(
                    plugin=migrations.plugin,
                    revision=revision,
                    needed=needed,
                    auto_migrate=database.auto_migrate,
                )
            )
    return states


async def _connect_store(assembly: Assembly, stack: contextlib.AsyncExitStack) -> None:
    store = assembly.store
    if store.database is None:
        await store.start()
        stack.push_async_callback(store.stop)
        await store.health()
    else:
        await store.database.start(read_only=True)
        stack.push_async_callback(store.database.stop)
        await check_complete(store.database)
