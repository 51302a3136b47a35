"""The history of a plugin's tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from chatrack.sql.database import Database


# Not a msgspec struct: `help()` evaluates the annotations of a struct, and `Database` is imported for type checkers
# only.
@dataclass(frozen=True, kw_only=True)
class Migrations:
    """One alembic history, with a version table of its own.

    Args:
        name: the name of the distribution or the plugin, for output.
        folder: the alembic folder, which contains `versions/`; shipped inside the package.
        version_table: the table in which alembic stores the revision; unique in the database.
        database: the database that has the tables.
        tables: the tables that the history creates; `chatrack copy` needs them to copy their rows.
    """

    name: str
    folder: Path
    version_table: str
    database: "Database"
    tables: "MetaData | None" = None
