"""The owner of a row: two columns in every table, two conditions in every statement."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, String, Table, and_, bindparam

from chatrack.errors import NotFound
from chatrack.interfaces.records import ItemRecord, PauseRecord
from chatrack.interfaces.user import User


def owner_columns() -> list[Column[Any]]:
    """Return the columns with which every table of Chatrack and its plugins names the owner of a row."""
    return [
        Column("tenant_id", String(255), nullable=False),
        Column("user_id", String(255), nullable=False),
    ]


def owner_row(user: User) -> dict[str, str]:
    """Return the values of `owner_columns` in a row of a user."""
    return {"tenant_id": user.tenant_id, "user_id": user.id}


def owned_by(table: Table) -> ColumnElement[bool]:
    """Return the condition that every statement carries; `owner_values` has its parameters."""
    return and_(table.c.tenant_id == bindparam("owner_tenant"), table.c.user_id == bindparam("owner_user"))


def owner_values(user: User, **keys: str) -> dict[str, str]:
    """Return the parameters of `owned_by`, together with the ids that a statement looks for.

    Args:
        user: the owner of the rows.
        keys: ids by the names of their parameters.

    Raises:
        NotFound: an id holds a NUL character.
    """
    refuse_nul(*keys.values())
    return {"owner_tenant": user.tenant_id, "owner_user": user.id, **keys}


def refuse_nul(*ids: str) -> None:
    """Refuse ids with NUL characters: no stored id has one, and some databases fail on them.

    Raises:
        NotFound: an id holds a NUL character.
    """
    if any("\0" in id_ for id_ in ids):
        raise NotFound("There is no such thing.")


def require_same_thread(thread_id: str, *records: Sequence[ItemRecord] | Sequence[PauseRecord]) -> None:
    """Refuse records of other threads than the one whose owner is checked.

    Raises:
        NotFound: a record is of another thread.
    """
    if any(record.thread_id != thread_id for group in records for record in group):
        raise NotFound("There is no such thing.")
