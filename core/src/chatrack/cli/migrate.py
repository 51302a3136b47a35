"""`chatrack migrate`."""

import asyncio
from pathlib import Path

from chatrack import logs
from chatrack.assembly import assemble, migrate_all
from chatrack.cli.table import show


def migrate(path: Path) -> None:
    """Bring all tables up to date and print what was done.

    Args:
        path: the config file.

    Raises:
        StartupError: something is wrong.
    """
    assembly = assemble(path)
    logs.configure("warning", assembly.config.server.log_format)
    done = asyncio.run(migrate_all(assembly))
    rows = [(plugin, before or "nothing", after or "nothing") for plugin, before, after in done]
    show(("plugin", "before", "after"), rows)
