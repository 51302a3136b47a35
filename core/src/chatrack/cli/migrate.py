"""`chatrack migrate`."""

import asyncio
from pathlib import Path

import click

from chatrack import logs
from chatrack.assembly import assemble, migrate_all, migrations_in_sql
from chatrack.cli.table import show


def migrate(path: Path, *, sql: bool) -> None:
    """Bring all tables up to date and print what was done; or print what would be done.

    Args:
        path: the config file.
        sql: print the SQL, and run none of it.

    Raises:
        StartupError: something is wrong.
    """
    assembly = assemble(path)
    logs.configure("warning", assembly.config.server.log_format)
    if sql:
        for plugin, text in asyncio.run(migrations_in_sql(assembly)):
            click.echo(f"-- {plugin}\n{text or '-- nothing to do'}\n")
        return
    done = asyncio.run(migrate_all(assembly))
    rows = [(plugin, before or "nothing", after or "nothing") for plugin, before, after in done]
    show(("plugin", "before", "after"), rows)
