"""Finding the backend for a URL: entry points of the group `chatrack.sql_backends`, named by URL schemes."""

from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint

from sqlalchemy import URL

from chatrack.entry_points import entry_points
from chatrack.errors import ConfigError
from chatrack.sql.backends.backend import Backend, Pool

GROUP = "chatrack.sql_backends"
"""The entry-point group of backends."""

_KNOWN_DISTRIBUTIONS = {
    "postgresql": "chatrack-postgres-store",
    "postgres": "chatrack-postgres-store",
    "mysql": "chatrack-mysql-store",
    "mariadb": "chatrack-mysql-store",
}
"""Who brings which schemes. Only for the error that says what to install."""


def create_backend(url: URL, *, label: str, pool: Pool, schema: str | None) -> Backend:
    """Make the backend for a URL.

    Args:
        url: the URL as people write it; a driver in it is ignored.
        label: the database's name in errors, usually the setting that holds the URL.
        pool: limits of its connections.
        schema: the schema that the tables are in, for databases that have schemas.

    Raises:
        ConfigError: no installed backend is for the URL's scheme, or as `find_backend`.
    """
    scheme = url.get_backend_name()
    backend = find_backend(scheme, label=label)
    if backend is None:
        hint = ""
        if scheme in _KNOWN_DISTRIBUTIONS:
            hint = f"; install {_KNOWN_DISTRIBUTIONS[scheme]}, which brings one"
        known = ", ".join(sorted(_registered()))
        raise ConfigError(f"{label}: no installed backend is for {scheme}:// URLs; known: {known}{hint}")
    return backend(url, label=label, pool=pool, schema=schema)


def find_backend(scheme: str, *, label: str) -> type[Backend] | None:
    """Import the backend that is registered for a URL scheme; None if there is none.

    Args:
        scheme: the URL scheme, without a driver.
        label: the database's name in errors.

    Raises:
        ConfigError: two distributions register the scheme, or the backend cannot be imported.
    """
    points = _registered().get(scheme, ())
    if not points:
        return None
    if len(points) > 1:
        sources = " and by ".join(_source(point) for point in points)
        raise ConfigError(
            f"{label}: the backend for {scheme}:// is installed twice, by {sources}; uninstall one of them"
        )
    [point] = points
    failure = f"{label}: the backend for {scheme}:// ({_source(point)})"
    try:
        backend = point.load()
    except (Exception, SystemExit) as error:  # whatever a foreign module does when it is imported
        raise ConfigError(
            f"{failure} cannot be imported: {type(error).__name__}: {error}; reinstall {_distribution(point)}"
        ) from error
    if not (isinstance(backend, type) and issubclass(backend, Backend)):
        raise ConfigError(f"{failure}: {point.value} is not a chatrack.sql.Backend")
    return backend


def _registered() -> Mapping[str, Sequence[EntryPoint]]:
    """Return the entry points of each scheme."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(GROUP):
        found.setdefault(point.name, []).append(point)
    return found


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "its distribution"


def _source(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"
