"""Count in shards, keep transitions nobody was told of, and let nodes share rates and ids."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ENDED = "status IN ('delivered', 'suppressed', 'dead', 'cancelled')"


def upgrade() -> None:
    """Change the tables of version 1. What they hold stays."""
    on_file = op.get_bind().dialect.name == "sqlite"
    for table, keys in {"ledger": ["handler", "channel", "account"], "counter": ["name"]}.items():
        _make_anew(table, keys) if on_file else _alter(table, keys)
    op.add_column("transition", sa.Column("matched", sa.Boolean(), nullable=False, server_default=sa.true()))
    _partial("transition_unmatched", "transition", "received_at", "matched = false")
    _partial("delivery_ended", "delivery", "updated_at", ENDED)
    op.create_table(
        "rate",
        sa.Column("channel", sa.Text(), primary_key=True),
        sa.Column("granted", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    if not on_file:
        _give_ids_from_a_sequence()


def _make_anew(table: str, keys: list[str]) -> None:
    """A table on SQLite with the shard in its key, which no column can be added to."""
    columns = [sa.Column(key, sa.Text(), primary_key=True) for key in keys]
    shard = sa.Column("shard", sa.Integer(), primary_key=True, autoincrement=False)
    count = sa.Column("count", Id, nullable=False)
    op.create_table(f"{table}_2", *columns, shard, count, sqlite_with_rowid=False)
    names = ", ".join(keys)
    op.execute(f"INSERT INTO {table}_2 ({names}, shard, count) SELECT {names}, 0, count FROM {table}")
    op.drop_table(table)
    op.rename_table(f"{table}_2", table)


def _alter(table: str, keys: list[str]) -> None:
    op.add_column(table, sa.Column("shard", sa.Integer(), nullable=False, server_default="0"))
    op.alter_column(table, "shard", server_default=None)
    op.alter_column(table, "count", type_=sa.BigInteger())
    op.drop_constraint(f"{table}_pkey", table)
    op.create_primary_key(f"{table}_pkey", table, [*keys, "shard"])


def _give_ids_from_a_sequence() -> None:
    last = op.get_bind().execute(sa.text("SELECT last FROM sequence")).scalar_one()
    op.execute(f"CREATE SEQUENCE gateway_id START WITH {int(last) + 1}")
    op.drop_table("sequence")


def _partial(name: str, table: str, column: str, where: str) -> None:
    op.create_index(name, table, [column], sqlite_where=sa.text(where), postgresql_where=sa.text(where))
