"""The table of the todos. The migrations create it; a test compares the two."""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

from chatrack.sql import owner_columns

metadata = MetaData()

todos = Table(
    "todo_tools_todos",
    metadata,
    Column("id", String(64), primary_key=True),
    *owner_columns(),
    Column("title", String(200), nullable=False),
    Column("description", Text),
    Column("status", String(20), nullable=False),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("due_at", String(40)),  # ISO 8601: a date, or a time in UTC with Z
    Column("created_at", BigInteger, nullable=False),  # microseconds since 1970
    Column("updated_at", BigInteger, nullable=False),  # microseconds since 1970
    Column("completed_at", BigInteger),  # microseconds since 1970; None: not completed
    Index("todo_tools_todos_by_owner", "tenant_id", "user_id", "created_at", "id"),
)
