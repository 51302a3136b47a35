"""Threads, items, leases, attachments and feedback.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGTEXT

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_LONG = sa.Text().with_variant(LONGTEXT(), "mysql", "mariadb")


def _owner() -> list[sa.Column[str]]:
    return [
        sa.Column("tenant_id", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
    ]


def _thread() -> sa.ForeignKey:
    return sa.ForeignKey("chatrack_threads.id", ondelete="CASCADE")


def upgrade() -> None:
    op.create_table(
        "chatrack_threads",
        sa.Column("id", sa.String(64), primary_key=True),
        *_owner(),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("title", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("metadata", _LONG, nullable=False),
        sa.Column("allowed_image_domains", sa.Text),
        sa.Column("next_seq", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("history_from", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_index(
        "chatrack_threads_by_owner", "chatrack_threads", ["tenant_id", "user_id", "created_at", "id"]
    )
    op.create_table(
        "chatrack_items",
        sa.Column("thread_id", sa.String(64), _thread(), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("id", sa.String(128), nullable=False),
        *_owner(),
        sa.Column("type", sa.String(40), nullable=False),
        sa.Column("turn_id", sa.String(64)),
        sa.Column("hidden", sa.Boolean, nullable=False),
        sa.Column("uncommitted", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("format", sa.Integer, nullable=False),
        sa.Column("data", _LONG, nullable=False),
        sa.Column("origin", _LONG),
        sa.PrimaryKeyConstraint("thread_id", "seq"),
        sa.UniqueConstraint("thread_id", "id", name="chatrack_items_by_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "chatrack_leases",
        sa.Column("thread_id", sa.String(64), _thread(), primary_key=True),
        *_owner(),
        sa.Column("turn_id", sa.String(64)),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "chatrack_attachments",
        sa.Column("id", sa.String(128), primary_key=True),
        *_owner(),
        sa.Column("thread_id", sa.String(64), _thread()),
        sa.Column("data", _LONG, nullable=False),
    )
    op.create_index("ix_chatrack_attachments_thread_id", "chatrack_attachments", ["thread_id"])
    op.create_table(
        "chatrack_feedback",
        sa.Column("thread_id", sa.String(64), _thread(), nullable=False),
        sa.Column("item_id", sa.String(128), nullable=False),
        *_owner(),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("thread_id", "item_id"),
    )


def downgrade() -> None:
    for table in ("feedback", "attachments", "leases", "items", "threads"):
        op.drop_table(f"chatrack_{table}")
