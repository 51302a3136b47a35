"""SQL functions that databases spell differently."""

from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class now_millis(FunctionElement[int]):  # noqa: N801  (reads as the SQL function it is)
    """Milliseconds since 1970 on the database's clock."""

    type = BigInteger()
    inherit_cache = True


def define_now_millis(dialect: str, sql: str) -> None:
    """Set the SQL of `now_millis` in a dialect.

    Args:
        dialect: SQLAlchemy's name of it.
        sql: the expression.
    """

    @compiles(now_millis, dialect)
    def _compile(element: Any, compiler: Any, **options: Any) -> str:
        return sql
