"""Keep how far each source was read, the last state of runs, and the events that were refused."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables. What the others hold stays."""
    op.create_table(
        "position",
        sa.Column("source", sa.Text(), primary_key=True),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run",
        sa.Column("source", sa.Text(), primary_key=True),
        sa.Column("run_id", sa.Text(), primary_key=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("run_seen", "run", ["seen_at"])
    op.create_table(
        "refused",
        sa.Column("id", Id, primary_key=True, autoincrement=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("complaint", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
    )
