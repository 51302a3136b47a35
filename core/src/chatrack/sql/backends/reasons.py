"""Whether an error means that a database is away, or that something is wrong with what it was asked."""

import sqlite3

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

_DRIVERS = {"asyncpg", "asyncmy"}
_OURS = ("0A", "22", "23", "42")
"""PostgreSQL's classes of errors that are about a statement: not supported, data, integrity, syntax or access."""

_SERVER_ERRORS = range(1000, 2000)
"""MySQL's errors about statements, and a few others; those of its client are beyond."""

_AWAY = {
    *(1040, 1203, 1226),  # too many connections
    *(1045, 1129, 1130, 1698),  # not let in any more
    *(1053, 1317, 1927),  # shutting down, interrupted, killed
    *(1205, 1213),  # locks that others hold
    *(1290, 1836),  # read-only
    1969,  # took too long
}
"""The others."""


def driver_message(error: BaseException) -> str | None:
    """Give what a database or its driver says in an error, on one line; None if it comes from neither.

    Drivers raise errors of their own while they connect; SQLAlchemy wraps only what comes later.
    """
    original = _original(error)
    driver = type(original).__module__.partition(".")[0] in _DRIVERS
    if driver or isinstance(error, DBAPIError | OSError | TimeoutError | sqlite3.OperationalError):
        return " ".join(str(original).split()) or type(original).__name__
    return None


def unavailable_reason(error: BaseException) -> str | None:
    """Say in a few words why a database cannot be reached; None if the error is about something else."""
    about_a_statement = isinstance(error, IntegrityError | ProgrammingError | DataError)
    return None if about_a_statement or _is_about_a_statement(_original(error)) else driver_message(error)


def _original(error: BaseException) -> BaseException:
    return getattr(error, "orig", None) or error


def _is_about_a_statement(original: BaseException) -> bool:
    if str(getattr(original, "sqlstate", "")).startswith(_OURS):
        return True
    if isinstance(original, sqlite3.Error):
        return getattr(original, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
    code = original.args[0] if original.args else None
    return isinstance(code, int) and code in _SERVER_ERRORS and code not in _AWAY
