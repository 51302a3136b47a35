"""The two things that SQL dialects spell differently: the time, and "insert or update"."""

import functools
from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Table
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.functions import FunctionElement


class now_millis(FunctionElement[int]):  # noqa: N801  (reads as the SQL function it is)
    """Milliseconds since 1970 on the database's clock."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_millis)
def _now_unknown(element: Any, compiler: Any, **options: Any) -> str:
    raise NotImplementedError(f"the clock of {compiler.dialect.name} is not known to Chatrack")


@compiles(now_millis, "sqlite")
def _now_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(now_millis, "postgresql")
def _now_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(now_millis, "mysql")
@compiles(now_millis, "mariadb")
def _now_mysql(element: Any, compiler: Any, **options: Any) -> str:
    return "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)"


def upsert(dialect: str, table: Table, *, key: Sequence[str], update: Sequence[str]) -> Insert:
    """Make an insert that updates the row that is already there.

    Args:
        dialect: the name of the SQL dialect.
        table: the table.
        key: the columns of the unique key.
        update: the columns to take from the new row.
    """
    return _upsert(dialect, table, tuple(key), tuple(update))


@functools.cache  # making one costs more than running it
def _upsert(dialect: str, table: Table, key: tuple[str, ...], update: tuple[str, ...]) -> Insert:
    if dialect in {"mysql", "mariadb"}:
        from sqlalchemy.dialects import mysql  # late: loaded only for the dialect in use

        statement = mysql.insert(table)
        return statement.on_duplicate_key_update({name: statement.inserted[name] for name in update})
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # late: loaded only for the dialect in use

        pg = postgresql.insert(table)
        return pg.on_conflict_do_update(index_elements=list(key), set_={n: pg.excluded[n] for n in update})
    from sqlalchemy.dialects import sqlite

    lite = sqlite.insert(table)
    return lite.on_conflict_do_update(index_elements=list(key), set_={n: lite.excluded[n] for n in update})
