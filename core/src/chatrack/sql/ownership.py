"""Whose row it is: two columns in every table, two conditions in every statement (T7)."""

from typing import Any

from sqlalchemy import Column, ColumnElement, String, Table, and_, bindparam

from chatrack.interfaces.user import User


def owner_columns() -> list[Column[Any]]:
    """Make the columns that every table of Chatrack and its plugins has."""
    return [
        Column("tenant_id", String(255), nullable=False),
        Column("user_id", String(255), nullable=False),
    ]


def owned_by(table: Table) -> ColumnElement[bool]:
    """Give the condition that every statement carries; its parameters are those of `owner_values`."""
    return and_(table.c.tenant_id == bindparam("owner_tenant"), table.c.user_id == bindparam("owner_user"))


def owner_values(user: User) -> dict[str, str]:
    """Give the parameters of `owned_by` for a user."""
    return {"owner_tenant": user.tenant_id, "owner_user": user.id}
