"""What is particular about each kind of database: one module each, imported only when it is used."""

from sqlalchemy import URL

from chatrack.errors import ConfigError
from chatrack.sql.backends.backend import Backend, Pool
from chatrack.sql.backends.reasons import driver_message, unavailable_reason

_DIALECTS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
}

_INSTALL = {"postgresql": "chatrack-postgres-store", "mysql": "chatrack-mysql-store"}


def dialect_of(url: URL) -> str | None:
    """Give SQLAlchemy's name for the kind of database that a URL names, or None if it is none of ours."""
    return _DIALECTS.get(url.get_backend_name())


def backend_of(url: URL, *, label: str, pool: Pool, schema: str | None) -> Backend:
    """Choose the backend for a URL.

    Args:
        url: the URL as people write it; a driver in it is ignored.
        label: how errors call the database.
        pool: how many connections there may be, and how long things may take.
        schema: where the tables are, in databases that have schemas.

    Raises:
        ConfigError: there is none for this kind of database, or its driver is not installed.
    """
    dialect = dialect_of(url)
    if dialect is None:
        known = ", ".join(sorted(set(_DIALECTS.values())))
        raise ConfigError(
            f"{label}: databases of type {url.get_backend_name()} are not known; known: {known}"
        )
    try:
        if dialect == "postgresql":
            from chatrack.sql.backends.postgresql import PostgreSQL

            return PostgreSQL(url, label=label, pool=pool, schema=schema)
        if dialect == "mysql":
            from chatrack.sql.backends.mysql import MySQL

            return MySQL(url, label=label, pool=pool)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{label}: {error.name} is not installed; install {_INSTALL[dialect]}, which brings it"
        ) from error
    from chatrack.sql.backends.sqlite import SQLite

    return SQLite(url, label=label, pool=pool)


__all__ = ["Backend", "Pool", "backend_of", "dialect_of", "driver_message", "unavailable_reason"]
