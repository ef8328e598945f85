"""The tables as they were first released."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "about",
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("clock_offset", sa.BigInteger()),
    )
    op.create_table(
        "counter",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger",
        sa.Column("handler", sa.Text(), primary_key=True),
        sa.Column("channel", sa.Text(), primary_key=True),
        sa.Column("account", sa.Text(), primary_key=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "node",
        sa.Column("id", Id, primary_key=True, autoincrement=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat_at", sa.BigInteger(), nullable=False),
        sa.Column("beats", sa.Integer(), nullable=False),
        sa.Column("config_hash", sa.Text(), nullable=False),
    )
    op.create_table(
        "sequence",
        sa.Column("last", Id, nullable=False),
    )
    op.create_table(
        "transition",
        sa.Column("seq", Id, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), nullable=False, unique=True),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("obj_name", sa.Text(), nullable=False),
        sa.Column("flow_name", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("old_type", sa.Text()),
        sa.Column("new_type", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
    )
    op.create_table(
        "delivery",
        sa.Column("id", Id, primary_key=True, autoincrement=False),
        sa.Column("transition_seq", Id, sa.ForeignKey("transition.seq"), nullable=False),
        sa.Column("handler", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("forgiven", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("required", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("give_up_at", sa.BigInteger(), nullable=False),
        sa.Column("give_up_after", sa.BigInteger(), nullable=False),
        sa.Column("owner", Id),
        sa.Column("fallback_of", Id),
    )
    op.create_table(
        "attempt",
        sa.Column("delivery_id", Id, sa.ForeignKey("delivery.id"), primary_key=True),
        sa.Column("n", sa.Integer(), primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    _partial("delivery_claimed", ["owner"], "status = 'claimed'")
    _partial("delivery_dead", ["id"], "status = 'dead'")
    _partial("delivery_due", ["channel", "due_at"], "status = 'pending'")
    _partial("delivery_give_up", ["give_up_at"], "status = 'pending'")
    op.create_index("delivery_of_channel", "delivery", ["channel", "id"])
    op.create_index("delivery_of_handler", "delivery", ["handler", "id"])
    op.create_index("delivery_of_transition", "delivery", ["transition_seq"])
    _partial("delivery_owed", ["id"], "status IN ('pending', 'claimed')")


def _partial(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "delivery", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
