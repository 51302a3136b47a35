"""Starting what an assembly is made of, and stopping it in reverse."""

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
    """Start the store, see to the tables, and enter the plugins' lifespans.

    Args:
        assembly: what to start.

    Raises:
        StartupError: something cannot be started; what had been is stopped again.
    """
    async with contextlib.AsyncExitStack() as stack:
        with attribute_errors(assembly, assembly.store_plugin):
            await assembly.store.start()
        stack.push_async_callback(assembly.store.stop)
        if assembly.store.database is not None:
            with attribute_errors(assembly, assembly.store_plugin):
                await check_complete(assembly.store.database)
        await stack.enter_async_context(connected(assembly))
        for one in assembly.migrations:
            with attribute_errors(assembly, one.plugin):
                before, after = await make_ready(one.value)
            if before != after:
                _log.info("migrated", plugin=one.plugin, before=before or "nothing", after=after)
        for lifespan in assembly.lifespans:
            with attribute_errors(assembly, lifespan.plugin):
                await stack.enter_async_context(lifespan.value)
        with attribute_errors(assembly, assembly.store_plugin):
            await assembly.store.health()
        yield


async def dry_start(assembly: Assembly) -> None:
    """Start everything and stop it again, so that what cannot start is known before anything depends on it.

    Raises:
        StartupError: something cannot be started.
    """
    async with running(assembly):
        pass


async def migrate_all(assembly: Assembly) -> list[tuple[str, str | None, str | None]]:
    """Bring all tables up to date, and do nothing else.

    Args:
        assembly: what has tables; not running.

    Returns:
        For each history the plugin and its revisions before and after.

    Raises:
        StartupError: a database cannot be reached or brought up to date.
    """
    done = await _each_history(assembly, migrate)
    return [(plugin, before, after) for plugin, (before, after) in done]


async def migrations_in_sql(assembly: Assembly) -> list[tuple[str, str]]:
    """Give, by plugin, the SQL that `migrate_all` would run; arguments and errors as there."""
    return await _each_history(assembly, migration_sql)


@contextlib.asynccontextmanager
async def connected(assembly: Assembly) -> AsyncIterator[None]:
    """Connect to the databases of the store and the plugins, and do nothing else.

    Args:
        assembly: what has databases; not running.

    Raises:
        StartupError: a database cannot be reached.
    """
    async with contextlib.AsyncExitStack() as stack:
        for one in assembly.migrations:
            with attribute_errors(assembly, one.plugin):
                await one.value.database.start()
            stack.push_async_callback(one.value.database.stop)
        yield


async def _each_history(
    assembly: Assembly, work: Callable[[Migrations], Awaitable[T]]
) -> list[tuple[str, T]]:
    done = []
    async with connected(assembly):
        for one in assembly.migrations:
            with attribute_errors(assembly, one.plugin):
                done.append((one.plugin, await work(one.value)))
    return done


@contextlib.contextmanager
def attribute_errors(assembly: Assembly, plugin: str, stage: Stage = "start") -> Iterator[None]:
    """Name the plugin in whatever goes wrong, by default while it starts."""
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
