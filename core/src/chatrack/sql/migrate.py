"""Running migrations: alembic, one version table per distribution (T31)."""

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.errors import StartupError
from chatrack.interfaces.migrations import Migrations


async def migrate(migrations: Migrations) -> tuple[str | None, str | None]:
    """Bring a database up to date, in one transaction; other processes wait and then find nothing to do.

    Args:
        migrations: which history, in which database; the database is started.

    Returns:
        The revisions before and after.

    Raises:
        StartupError: the database is newer than this version of the code, or the folder is none of alembic's.
    """

    async def run(connection: AsyncConnection) -> tuple[str | None, str | None]:
        return await connection.run_sync(_upgrade, migrations)

    return await migrations.database.write(run)


def _upgrade(connection: Connection, migrations: Migrations) -> tuple[str | None, str | None]:
    from alembic import command  # late: a tenth of a second that other commands do not need
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(migrations.folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["version_table"] = migrations.version_table
    options = {"version_table": migrations.version_table}
    before = MigrationContext.configure(connection, opts=options).get_current_revision()
    try:
        head = ScriptDirectory.from_config(config).get_current_head()
    except CommandError as error:
        raise StartupError(f"{migrations.name}: the migrations cannot be read: {error}") from error
    if before == head:
        return before, head
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StartupError(
            f"{migrations.name}: the database is at revision {before}, which this version does not know; "
            "it was used by a newer version: install that one"
        ) from error
    return before, head


def run_env() -> None:
    """Do what the `env.py` of an alembic folder has to do; it needs no other line than a call of this."""
    from alembic import context  # late: exists only while alembic runs

    attributes: dict[str, Any] = context.config.attributes
    # The transaction is ours (see `migrate`), also where alembic believes that DDL cannot be in one.
    context.configure(connection=attributes["connection"], version_table=attributes["version_table"])
    context.run_migrations()
