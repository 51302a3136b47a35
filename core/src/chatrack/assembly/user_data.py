"""Export and purge of the data that all plugins store about users. No server needs to run."""

import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from chatrack.assembly.assembly import Assembly
from chatrack.assembly.running import attribute_errors
from chatrack.errors import Stage, StartupError
from chatrack.interfaces import Migrations, User, UserData, UserRecord
from chatrack.plugins import HookResult
from chatrack.sql.migrate import have_tables

Removed = tuple[str, Mapping[str, int]]
"""The name of a source of user data, and the number of records of each kind that were deleted from it."""


class UserDataService:
    """The user data of all plugins. Every error names the plugin.

    Args:
        assembly: the assembly.
        sources: the started `UserData` of the plugins, in the order in which they are exported.
    """

    def __init__(self, assembly: Assembly, sources: Sequence[HookResult[UserData]]) -> None:
        self._assembly = assembly
        self._sources = sources

    async def tenants(self) -> set[str]:
        """Return all tenants that have data."""
        tenants: set[str] = set()
        for source in self._sources:
            with attribute_errors(self._assembly, source.plugin):
                tenants |= set(await source.value.tenants())
        return tenants

    async def export(self, user: User) -> AsyncGenerator[bytes]:
        """Yield all data of a user as lines of JSON.

        The first line names the user. If there is no data, there is no line.
        """
        encode = msgspec.json.Encoder().encode
        is_first = True
        async with contextlib.aclosing(self._run("export", lambda data: data.export(user))) as records:
            async for source, record in records:
                with attribute_errors(self._assembly, source.plugin, "export"):
                    line = encode(_fields(source.value.name, record))
                if is_first:
                    head = {"source": "chatrack", "kind": "user", "tenant_id": user.tenant_id, "id": user.id}
                    yield encode(head)
                    is_first = False
                yield line

    def purge(self, user: User) -> AsyncGenerator[Removed]:
        """Delete all data of a user in batches; yield after each what was deleted."""
        return self._removed(lambda data: data.purge(user))

    def purge_before(self, moment: datetime) -> AsyncGenerator[Removed]:
        """Delete what was last changed before a moment, of all users, in batches as `purge` does."""
        return self._removed(lambda data: data.purge_before(moment))

    async def _removed(self, purge: Callable[[UserData], Any]) -> AsyncGenerator[Removed]:
        async with contextlib.aclosing(self._run("purge", purge)) as batches:
            async for source, counts in batches:
                with attribute_errors(self._assembly, source.plugin, "purge"):
                    _check_counts(counts)
                yield source.value.name, counts

    async def _run(
        self, stage: Stage, method: Callable[[UserData], Any]
    ) -> AsyncGenerator[tuple[HookResult[UserData], Any]]:
        """Call a method of all sources, one after the other; yield what it yields, with the source."""
        for source in self._sources:
            with attribute_errors(self._assembly, source.plugin, stage):
                results = method(source.value)
                if not inspect.isasyncgen(results):
                    if inspect.iscoroutine(results):
                        results.close()
                    raise StartupError(f"it must be an async generator, got {type(results).__name__}")
                async with contextlib.aclosing(results):
                    async for result in results:
                        yield source, result


def _fields(source: str, record: object) -> dict[str, Any]:
    if not isinstance(record, UserRecord):
        raise StartupError(f"it must yield UserRecord, got {type(record).__name__}")
    head = {"source": source, "kind": record.kind}
    reserved = head.keys() & record.fields.keys()
    if reserved:
        raise StartupError(
            f"a record of kind {record.kind} has a field `{min(reserved)}`; that name is reserved"
        )
    return {**head, **record.fields}


def _check_counts(counts: object) -> None:
    if not isinstance(counts, Mapping) or not all(isinstance(count, int) for count in counts.values()):
        raise StartupError(f"it must yield the number of removed records of each kind, not {counts!r}")


@contextlib.asynccontextmanager
async def open_user_data(assembly: Assembly) -> AsyncIterator[UserDataService]:
    """Start the user data of all plugins. No table is created or changed.

    Args:
        assembly: the assembly; not running.

    Raises:
        StartupError: something cannot be reached, or its tables are not up to date.
    """
    migrations_of = {migrations.plugin: migrations.value for migrations in assembly.migrations}
    async with contextlib.AsyncExitStack() as stack:
        sources = []
        # Sorted, so that an export does not depend on the order of `enabled`.
        for source in sorted(assembly.user_data, key=lambda source: source.value.name):
            with attribute_errors(assembly, source.plugin):
                migrations = migrations_of.get(source.plugin)
                if migrations is not None and not await _has_tables(migrations, stack):
                    continue  # there is no data
                await source.value.start()
            stack.push_async_callback(source.value.stop)
            sources.append(source)
        yield UserDataService(assembly, sources)


async def _has_tables(migrations: Migrations, stack: contextlib.AsyncExitStack) -> bool:
    database = migrations.database
    if database.is_absent:
        return False
    await database.start()
    stack.push_async_callback(database.stop)
    return await have_tables(migrations)
