"""The settings that plugins over a database server share."""

from typing import Annotated

import msgspec
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from chatrack.errors import ConfigError
from chatrack.settings import Secret, Settings
from chatrack.sql.backends import Pool, dialect_of
from chatrack.sql.database import Database

_EXAMPLES = {
    "postgresql": "postgresql://user:password@host/database",
    "mysql": "mysql://user:password@host/database",
}


class ServerSettings(Settings):
    """How to reach a database server, and how much to ask of it."""

    url: Secret
    """The database, as people write it: `postgresql://…`, `mysql://…`."""

    pool_size: Annotated[int, msgspec.Meta(ge=1)] = 10
    """Connections that each process keeps."""

    max_overflow: Annotated[int, msgspec.Meta(ge=0)] = 10
    """Connections beyond those, while they are needed."""

    pool_timeout: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    """Seconds that a request waits for a free connection."""

    statement_timeout: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    """Seconds that a statement may take."""

    auto_migrate: bool = False
    """Whether older tables are brought up to date at start, instead of by `chatrack migrate`."""

    def open(self, dialect: str, *, label: str, schema: str | None = None) -> Database:
        """Describe the database; it is not connected to yet.

        Args:
            dialect: the kind of database that the URL has to name.
            label: the setting, for errors.
            schema: where the tables are, in PostgreSQL.

        Raises:
            ConfigError: the URL is none, or one of another kind of database.
        """
        return Database(
            parse_url(self.url, dialect, label=label),
            label=label,
            pool=Pool(
                size=self.pool_size,
                max_overflow=self.max_overflow,
                timeout=self.pool_timeout,
                statement_timeout=self.statement_timeout,
            ),
            schema=schema,
            auto_migrate=self.auto_migrate,
        )


def parse_url(url: Secret, dialect: str, *, label: str) -> URL:
    """Read a URL, and never repeat it: there is a password in it.

    Args:
        url: as the operator wrote it.
        dialect: the kind of database that it has to name.
        label: the setting, for errors.

    Raises:
        ConfigError: it is none, or one of another kind of database, or names no database.
    """
    example = f"expected a URL such as {_EXAMPLES[dialect]}"
    try:
        parsed = make_url(url.reveal())
    except (ArgumentError, ValueError):
        raise ConfigError(f"{label}: {example}") from None  # the cause may repeat it
    if dialect_of(parsed) != dialect:
        raise ConfigError(f"{label}: {example}, got one of {parsed.get_backend_name()}")
    if not parsed.database:
        raise ConfigError(f"{label}: {example}, got one without a database")
    return parsed
