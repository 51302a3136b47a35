"""The settings that store plugins for database servers share."""

from typing import Annotated

import msgspec
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from chatrack.errors import ConfigError
from chatrack.settings import Secret, Settings
from chatrack.sql.backends import Pool, ServerBackend, find_backend
from chatrack.sql.database import Database


class ServerSettings(Settings):
    """How to reach a database server, and limits of its use."""

    url: Secret
    """The database's URL, `scheme://user:password@host/database`."""

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

    def open(self, backend: type[ServerBackend], *, label: str, schema: str | None = None) -> Database:
        """Return the database, not connected yet.

        Args:
            backend: the backend that the URL has to lead to.
            label: the key of the setting `url`, for errors.
            schema: the schema that the tables are in.

        Raises:
            ConfigError: the URL is malformed, or one of another kind of database.
        """
        return Database(
            parse_url(self.url, backend, label=label),
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


def parse_url(url: Secret, backend: type[ServerBackend], *, label: str) -> URL:
    """Parse a URL. No error repeats it, because it holds a password.

    Args:
        url: as the operator wrote it.
        backend: the backend that it has to lead to.
        label: the key of the setting, for errors.

    Raises:
        ConfigError: it is malformed, one of another kind of database, or names no database.
    """
    expected = f"{label}: expected a URL such as {backend.example_url}"
    try:
        parsed = make_url(url.reveal())
    except (ArgumentError, ValueError):
        raise ConfigError(expected) from None  # the cause may repeat it
    scheme = parsed.get_backend_name()
    found = find_backend(scheme, label=label)
    if found is None or not issubclass(found, backend):
        raise ConfigError(f"{expected}, got one of {scheme}")
    if not parsed.database:
        raise ConfigError(f"{expected}, got one without a database")
    return parsed
