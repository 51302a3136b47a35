"""Whose row it is: two columns in every table, two conditions in every statement."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, String, Table, and_, bindparam

from chatrack.errors import NotFound
from chatrack.interfaces.records import ItemRecord, PauseRecord
from chatrack.interfaces.user import User


def owner_columns() -> list[Column[Any]]:
    """Make the columns that every table of Chatrack and its plugins has."""
    return [
        Column("tenant_id", String(255), nullable=False),
        Column("user_id", String(255), nullable=False),
    ]


def owner_row(user: User) -> dict[str, str]:
    """Give what `owner_columns` hold in a row of a user's."""
    return {"tenant_id": user.tenant_id, "user_id": user.id}


def owned_by(table: Table) -> ColumnElement[bool]:
    """Give the condition that every statement carries; its parameters are those of `owner_values`."""
    return and_(table.c.tenant_id == bindparam("owner_tenant"), table.c.user_id == bindparam("owner_user"))


def owner_values(user: User, **keys: str) -> dict[str, str]:
    """Give the parameters of `owned_by` for a user, together with the ids that a statement looks for.

    Args:
        user: whose rows.
        keys: ids by the names of their parameters.

    Raises:
        NotFound: an id holds a NUL.
    """
    refuse_nul(*keys.values())
    return {"owner_tenant": user.tenant_id, "owner_user": user.id, **keys}


def refuse_nul(*ids: str) -> None:
    """Refuse ids that nothing has.

    Raises:
        NotFound: one holds a NUL, which no id does and PostgreSQL does not take.
    """
    if any("\0" in one for one in ids):
        raise NotFound("There is no such thing.")


def require_same_thread(thread_id: str, *records: Sequence[ItemRecord] | Sequence[PauseRecord]) -> None:
    """Refuse records of other threads than the one that is proved to be the user's.

    Raises:
        NotFound: one is of another thread.
    """
    if any(record.thread_id != thread_id for some in records for record in some):
        raise NotFound("There is no such thing.")
