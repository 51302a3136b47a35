"""Where a plugin keeps the history of its tables."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from chatrack.sql.database import Database


class Migrations(msgspec.Struct, frozen=True, kw_only=True):
    """One alembic history, with a version table of its own.

    Args:
        name: the distribution's or plugin's name, for output.
        folder: the alembic folder, with `versions/` in it; shipped inside the package.
        version_table: where alembic notes the revision; unique in the database.
        database: the database it applies to.
        tables: the tables that the history makes; without them `chatrack copy` cannot move what is in them.
    """

    name: str
    folder: Path
    version_table: str
    database: "Database"
    tables: "MetaData | None" = None
