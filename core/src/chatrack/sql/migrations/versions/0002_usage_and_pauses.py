"""Usage and pauses; when a thread was last written to, and when an attachment was saved.

Revision ID: 0002
"""

import time

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGTEXT

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_LONG = sa.Text().with_variant(LONGTEXT(), "mysql", "mariadb")


def _owner() -> list[sa.Column[str]]:
    return [
        sa.Column("tenant_id", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
    ]


def upgrade() -> None:
    # It is unknown when older rows were last written to: they count as new, so that none is purged too early.
    now = time.time_ns() // 1000
    for table, column in (("chatrack_threads", "updated_at"), ("chatrack_attachments", "created_at")):
        op.add_column(table, sa.Column(column, sa.BigInteger, nullable=False, server_default="0"))
        op.execute(f"UPDATE {table} SET {column} = {now}")  # noqa: S608  (two names of ours and a number)
    op.create_table(
        "chatrack_pauses",
        sa.Column("thread_id", sa.String(64), nullable=False),
        sa.Column("item_id", sa.String(128), nullable=False),
        *_owner(),
        sa.Column("turn_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("data", _LONG, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("thread_id", "item_id"),
        sa.ForeignKeyConstraint(
            ["thread_id", "item_id"],
            ["chatrack_items.thread_id", "chatrack_items.id"],
            ondelete="CASCADE",
            name="chatrack_pauses_of_items",
        ),
    )
    op.create_table(
        "chatrack_usage",
        sa.Column("turn_id", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(255), nullable=False),
        sa.Column("model", sa.String(255), nullable=False),
        *_owner(),
        sa.Column("thread_id", sa.String(64), nullable=False),
        sa.Column("requests", sa.Integer, nullable=False),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("cached_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("reasoning_tokens", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("turn_id", "agent", "model"),
    )
    op.create_index("chatrack_usage_by_owner", "chatrack_usage", ["tenant_id", "user_id", "created_at"])


def downgrade() -> None:
    op.drop_table("chatrack_usage")
    op.drop_table("chatrack_pauses")
    op.drop_column("chatrack_attachments", "created_at")
    op.drop_column("chatrack_threads", "updated_at")
