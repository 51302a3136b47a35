"""The tables of the store. The migrations create them; a test compares the two."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.dialects.mysql import LONGTEXT

from chatrack.sql.ownership import owner_columns

LongText = Text().with_variant(LONGTEXT(), "mysql", "mariadb")

metadata = MetaData()

threads = Table(
    "chatrack_threads",
    metadata,
    Column("id", String(64), primary_key=True),
    *owner_columns(),
    Column("created_at", BigInteger, nullable=False),  # microseconds since 1970
    Column("title", Text),
    Column("status", Text, nullable=False),
    Column("metadata", LongText, nullable=False),
    Column("allowed_image_domains", Text),
    Column("next_seq", BigInteger, nullable=False, server_default="1"),
    Column("history_from", BigInteger, nullable=False, server_default="0"),
    Column("updated_at", BigInteger, nullable=False, server_default="0"),  # microseconds since 1970
    Index("chatrack_threads_by_owner", "tenant_id", "user_id", "created_at", "id"),
)

items = Table(
    "chatrack_items",
    metadata,
    Column("thread_id", String(64), ForeignKey("chatrack_threads.id", ondelete="CASCADE"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("id", String(128), nullable=False),
    *owner_columns(),
    Column("type", String(40), nullable=False),
    Column("turn_id", String(64)),
    Column("hidden", Boolean, nullable=False),  # never sent to a client
    Column("uncommitted", Boolean, nullable=False, server_default=false()),  # of a retry that has not ended
    Column("format", Integer, nullable=False),
    Column("data", LongText, nullable=False),
    Column("origin", LongText),
    PrimaryKeyConstraint("thread_id", "seq"),
    UniqueConstraint("thread_id", "id", name="chatrack_items_by_id"),
    sqlite_with_rowid=False,  # clustered by thread and sequence: a page is one range
)

leases = Table(
    "chatrack_leases",
    metadata,
    Column("thread_id", String(64), ForeignKey("chatrack_threads.id", ondelete="CASCADE"), primary_key=True),
    *owner_columns(),
    Column("turn_id", String(64)),  # the one that holds the thread
    Column("fence", BigInteger, nullable=False),  # only ever grows
    Column("expires_at", BigInteger, nullable=False),  # milliseconds since 1970, on the database's clock
    # Not by `expires_at`: every renewal would have to move the entry.
    Index("chatrack_leases_by_owner", "tenant_id", "user_id", "turn_id"),
)

attachments = Table(
    "chatrack_attachments",
    metadata,
    Column("id", String(128), primary_key=True),
    *owner_columns(),
    Column("thread_id", String(64), ForeignKey("chatrack_threads.id", ondelete="CASCADE"), index=True),
    Column("data", LongText, nullable=False),
    Column("created_at", BigInteger, nullable=False, server_default="0"),  # microseconds since 1970
    Index("chatrack_attachments_by_age", "created_at"),
)

deleted_files = Table(
    # The ids of deleted attachments: their files are still there.
    "chatrack_deleted_files",
    metadata,
    Column("id", String(128), primary_key=True),
    *owner_columns(),
    Column("deleted_at", BigInteger, nullable=False),  # microseconds since 1970
)

installation = Table(
    # One row: whose files are whose, if several installations keep them in one place.
    "chatrack_installation",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("id", String(64), nullable=False),
)

feedback = Table(
    "chatrack_feedback",
    metadata,
    Column("thread_id", String(64), ForeignKey("chatrack_threads.id", ondelete="CASCADE"), nullable=False),
    Column("item_id", String(128), nullable=False),
    *owner_columns(),
    Column("kind", String(20), nullable=False),
    Column("created_at", BigInteger, nullable=False),  # microseconds since 1970
    PrimaryKeyConstraint("thread_id", "item_id"),
)

pauses = Table(
    "chatrack_pauses",
    metadata,
    Column("thread_id", String(64), nullable=False),
    Column("item_id", String(128), nullable=False),
    *owner_columns(),
    Column("turn_id", String(64), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("data", LongText, nullable=False),
    Column("created_at", BigInteger, nullable=False),  # microseconds since 1970
    PrimaryKeyConstraint("thread_id", "item_id"),
    ForeignKeyConstraint(
        ["thread_id", "item_id"],
        ["chatrack_items.thread_id", "chatrack_items.id"],
        ondelete="CASCADE",
        name="chatrack_pauses_of_items",
    ),
)

usage = Table(
    # Without a foreign key: usage outlives the deletion of its thread.
    "chatrack_usage",
    metadata,
    Column("turn_id", String(64), nullable=False),
    Column("agent", String(255), nullable=False),
    Column("model", String(255), nullable=False),
    *owner_columns(),
    Column("thread_id", String(64), nullable=False),
    Column("requests", Integer, nullable=False),
    Column("input_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("created_at", BigInteger, nullable=False),  # microseconds since 1970
    PrimaryKeyConstraint("turn_id", "agent", "model"),
    Index("chatrack_usage_by_owner", "tenant_id", "user_id", "created_at"),
    Index("chatrack_usage_by_tenant", "tenant_id", "created_at"),
)
