"""Where a database is."""

from pathlib import Path

from chatrack.sql.database import Database

_PORTS = {"postgresql": 5432, "mysql": 3306}
_LOOPBACK = {"127.0.0.1", "::1"}


def database_identity(database: Database) -> str:
    """Give what two `Database`s of one database have in common; there is no user and no password in it.

    A database server that is spelled in two ways (a name and an address) counts as two.
    """
    url = database.url
    if database.dialect == "sqlite":
        return f"sqlite:{Path(url.database or '').resolve()}"
    host = str(url.query.get("host") or url.host or "localhost")
    host = "localhost" if host in _LOOPBACK else host.lower()
    port = url.query.get("port") or url.port or _PORTS[database.dialect]
    schema = f"/{database.schema}" if database.schema else ""
    return f"{database.dialect}:{host}:{port}/{url.database}{schema}"
