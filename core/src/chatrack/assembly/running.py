"""Starting what an assembly is made of, and stopping it in reverse."""

import contextlib
from collections.abc import AsyncIterator, Iterator

import structlog

from chatrack.assembly.assembly import Assembly
from chatrack.errors import PluginError, RequestError, StartupError
from chatrack.sql.migrate import migrate

_log = structlog.get_logger(source="chatrack")


@contextlib.asynccontextmanager
async def running(assembly: Assembly) -> AsyncIterator[None]:
    """Start the store, bring SQLite databases up to date, and enter the plugins' lifespans.

    Args:
        assembly: what to start.

    Raises:
        StartupError: something cannot be started; what had been is stopped again.
    """
    async with contextlib.AsyncExitStack() as stack:
        with _starting(assembly, assembly.store_plugin):
            await assembly.store.start()
        stack.push_async_callback(assembly.store.stop)
        for one in assembly.migrations:
            database = one.value.database
            if database is not assembly.store.database:
                with _starting(assembly, one.plugin):
                    await database.start()
                stack.push_async_callback(database.stop)
            if database.dialect == "sqlite":
                with _starting(assembly, one.plugin):
                    before, after = await migrate(one.value)
                if before != after:
                    _log.info("migrated", plugin=one.plugin, before=before or "nothing", after=after)
        for lifespan in assembly.lifespans:
            with _starting(assembly, lifespan.plugin):
                await stack.enter_async_context(lifespan.value)
        with _starting(assembly, assembly.store_plugin):
            await assembly.store.health()
        yield


async def rehearse(assembly: Assembly) -> None:
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
    done = []
    for one in assembly.migrations:
        with _starting(assembly, one.plugin):
            await one.value.database.start()
            try:
                before, after = await migrate(one.value)
            finally:
                await one.value.database.stop()
        done.append((one.plugin, before, after))
    return done


@contextlib.contextmanager
def _starting(assembly: Assembly, plugin: str) -> Iterator[None]:
    """Name the plugin in whatever goes wrong while it starts."""
    try:
        yield
    except PluginError:
        raise
    except StartupError as error:
        raise assembly.plugins.error(plugin, "start", "; ".join(error.lines)) from error
    except RequestError as error:
        raise assembly.plugins.error(plugin, "start", error.detail) from error
    except Exception as error:
        raise assembly.plugins.error(plugin, "start", f"{type(error).__name__}: {error}") from error
