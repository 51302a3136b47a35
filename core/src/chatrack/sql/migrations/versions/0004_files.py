"""The files whose records were deleted, and the installation that files belong to.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chatrack_deleted_files",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("tenant_id", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("deleted_at", sa.BigInteger, nullable=False),
    )
    op.create_index("chatrack_attachments_by_age", "chatrack_attachments", ["created_at"])
    op.create_table(
        "chatrack_installation",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(64), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("chatrack_installation")
    op.drop_index("chatrack_attachments_by_age", "chatrack_attachments")
    op.drop_table("chatrack_deleted_files")
