"""What limits count: a user's running turns, and a tenant's usage.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("chatrack_leases_by_owner", "chatrack_leases", ["tenant_id", "user_id", "turn_id"])
    op.create_index("chatrack_usage_by_tenant", "chatrack_usage", ["tenant_id", "created_at"])


def downgrade() -> None:
    op.drop_index("chatrack_usage_by_tenant", "chatrack_usage")
    op.drop_index("chatrack_leases_by_owner", "chatrack_leases")
