"""Starting what an assembly is made of, and stopping it in reverse."""

import contextlib
from collections.abc import AsyncIterator

import structlog

from chatrack.assembly.assembly import Assembly
from chatrack.errors import RequestError, StartupError
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
        await assembly.store.start()
        stack.push_async_callback(assembly.store.stop)
        for one in assembly.migrations:
            database = one.value.database
            if database is not assembly.store.database:
                await database.start()
                stack.push_async_callback(database.stop)
            if database.dialect == "sqlite":
                before, after = await migrate(one.value)
                if before != after:
                    _log.info("migrated", plugin=one.plugin, before=before or "nothing", after=after)
        for lifespan in assembly.lifespans:
            try:
                await stack.enter_async_context(lifespan.value)
            except StartupError:
                raise
            except Exception as error:
                raise assembly.plugins.error(
                    lifespan.plugin, "start", f"`lifespan`: {type(error).__name__}: {error}"
                ) from error
        try:
            await assembly.store.health()
        except RequestError as error:
            raise StartupError(f"the store cannot be reached: {error.detail}") from error
        yield
