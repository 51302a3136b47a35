"""Starting the parts of an assembly, and stopping them in reverse order."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

import structlog

from chatrack.assembly.assembly import Assembly
from chatrack.errors import PluginError, RequestError, Stage, StartupError
from chatrack.interfaces import Migrations
from chatrack.sql.copying import check_complete
from chatrack.sql.migrate import make_ready, migrate, migration_sql

T = TypeVar("T")

_log = structlog.get_logger(source="chatrack")


@contextlib.asynccontextmanager
async def running(assembly: Assembly) -> AsyncIterator[None]:
    """Start the store, create or migrate tables, and enter the lifespans of the plugins.

    Args:
        assembly: the assembly.

    Raises:
        StartupError: something cannot be started; everything that was started is stopped again.
    """
    async with contextlib.AsyncExitStack() as stack:
        with attribute_errors(assembly, assembly.store_plugin):
            await assembly.store.start()
        stack.push_async_callback(assembly.store.stop)
        if assembly.file_store is not None:
            with attribute_errors(assembly, assembly.file_store.plugin):
                await assembly.file_store.value.start()
            stack.push_async_callback(assembly.file_store.value.stop)
        if assembly.store.database is not None:
            with attribute_errors(assembly, assembly.store_plugin):
                await check_complete(assembly.store.database)
        await stack.enter_async_context(connected(assembly))
        for migrations in assembly.migrations:
            with attribute_errors(assembly, migrations.plugin):
                before, after = await make_ready(migrations.value)
            if before != after:
                _log.info("migrated", plugin=migrations.plugin, before=before or "nothing", after=after)
        for lifespan in assembly.lifespans:
            with attribute_errors(assembly, lifespan.plugin):
                await stack.enter_async_context(lifespan.value)
        with attribute_errors(assembly, assembly.store_plugin):
            await assembly.store.health()
        yield


async def dry_start(assembly: Assembly) -> None:
    """Start everything as `running` does, and stop it again.

    The parent of several workers calls it before it forks: one process creates and migrates tables, and what cannot be
    started is reported once.

    Raises:
        StartupError: something cannot be started.
    """
    async with running(assembly):
        pass


async def migrate_all(assembly: Assembly) -> list[tuple[str, str | None, str | None]]:
    """Bring all tables up to date.

    Args:
        assembly: the assembly; not running.

    Returns:
        For each plugin with tables its name, and the revisions before and after.

    Raises:
        StartupError: a database cannot be reached or brought up to date.
    """
    revisions = await _for_all_migrations(assembly, migrate)
    return [(plugin, before, after) for plugin, (before, after) in revisions]


async def migrations_in_sql(assembly: Assembly) -> list[tuple[str, str]]:
    """Return the SQL that `migrate_all` would run, by plugin. Arguments and errors are the same."""
    return await _for_all_migrations(assembly, migration_sql)


@contextlib.asynccontextmanager
async def connected(assembly: Assembly) -> AsyncIterator[None]:
    """Connect to all databases that have tables, without looking at the tables.

    Args:
        assembly: the assembly; not running.

    Raises:
        StartupError: a database cannot be reached.
    """
    async with contextlib.AsyncExitStack() as stack:
        for migrations in assembly.migrations:
            with attribute_errors(assembly, migrations.plugin):
                await migrations.value.database.start()
            stack.push_async_callback(migrations.value.database.stop)
        yield


async def _for_all_migrations(
    assembly: Assembly, work: Callable[[Migrations], Awaitable[T]]
) -> list[tuple[str, T]]:
    results = []
    async with connected(assembly):
        for migrations in assembly.migrations:
            with attribute_errors(assembly, migrations.plugin):
                results.append((migrations.plugin, await work(migrations.value)))
    return results


@contextlib.contextmanager
def attribute_errors(assembly: Assembly, plugin: str, stage: Stage = "start") -> Iterator[None]:
    """Turn every exception into an error that names a plugin.

    Args:
        assembly: the assembly.
        plugin: the plugin whose code runs in the context.
        stage: what it is doing.

    Raises:
        PluginError: an exception was raised in the context.
    """
    try:
        yield
    except PluginError:
        raise
    except StartupError as error:
        raise assembly.plugins.error(plugin, stage, "; ".join(error.lines)) from error
    except RequestError as error:
        raise assembly.plugins.error(plugin, stage, error.detail) from error
    except Exception as error:
        raise assembly.plugins.error(plugin, stage, f"{type(error).__name__}: {error}") from error
