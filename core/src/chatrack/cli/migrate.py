"""`chatrack migrate`."""

import asyncio
from pathlib import Path

import click

from chatrack import logs
from chatrack.assembly import assemble, migrate_all, migrations_in_sql
from chatrack.cli.table import show


def migrate(path: Path, *, sql: bool) -> None:
    """Bring all tables up to date and print their revisions, or print the SQL that would do so.

    Args:
        path: the config file.
        sql: print the SQL and run none of it.

    Raises:
        StartupError: the config has mistakes, or a database cannot be reached or migrated.
    """
    assembly = assemble(path)
    logs.configure("warning", assembly.config.server.log_format)
    if sql:
        for plugin, text in asyncio.run(migrations_in_sql(assembly)):
            click.echo(f"-- {plugin}\n{text or '-- nothing to do'}\n")
        return
    revisions = asyncio.run(migrate_all(assembly))
    rows = [(plugin, before or "nothing", after or "nothing") for plugin, before, after in revisions]
    show(("plugin", "before", "after"), rows)
