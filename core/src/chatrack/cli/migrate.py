"""`chatrack migrate`."""

import asyncio
from pathlib import Path

from chatrack import logs
from chatrack.assembly import Assembly, assemble
from chatrack.cli.table import show
from chatrack.sql.migrate import migrate as migrate_one


def migrate(path: Path) -> None:
    """Bring all tables up to date and print what was done.

    Args:
        path: the config file.

    Raises:
        StartupError: something is wrong.
    """
    assembly = assemble(path)
    logs.configure("warning", assembly.config.server.log_format)
    show(("plugin", "before", "after"), asyncio.run(_migrate(assembly)))


async def _migrate(assembly: Assembly) -> list[tuple[str, str, str]]:
    rows = []
    for one in assembly.migrations:
        database = one.value.database
        await database.start()
        try:
            before, after = await migrate_one(one.value)
        finally:
            await database.stop()
        rows.append((one.plugin, before or "nothing", after or "nothing"))
    return rows
