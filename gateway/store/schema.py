"""The tables of the store. Instants and durations are whole milliseconds, see :mod:`gateway.store.instants`."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    literal_column,
    select,
)

from gateway.errors import StoreError

SCHEMA_VERSION = 1

metadata = MetaData()

# SQLite makes only a column declared INTEGER the row's own key; BIGINT would cost a second index.
Id = BigInteger().with_variant(Integer, "sqlite")
Milliseconds = BigInteger

about = Table(
    "about",
    metadata,
    Column("schema_version", Integer, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("clock_offset", Milliseconds),
)
"""One row: the version of these tables, the store's own name, and by how much the wall clock was
ahead of the host's monotonic clock when a dispatcher last looked."""

sequence = Table("sequence", metadata, Column("last", Id, nullable=False))
"""One row: the last id given to a transition, delivery or node. Ids only grow, also after deletions."""

transition = Table(
    "transition",
    metadata,
    Column("seq", Id, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("occurred_at", Milliseconds, nullable=False),
    Column("received_at", Milliseconds, nullable=False),
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("obj_name", Text, nullable=False),
    Column("flow_name", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("old_type", Text),
    Column("new_type", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("matched", Boolean, nullable=False),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("transition_seq", Id, ForeignKey("transition.seq"), nullable=False),
    Column("handler", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("due_at", Milliseconds, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("forgiven", Integer, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("required", Boolean, nullable=False),
    Column("created_at", Milliseconds, nullable=False),
    Column("updated_at", Milliseconds, nullable=False),
    Column("give_up_at", Milliseconds, nullable=False),
    Column("give_up_after", Milliseconds, nullable=False),
    Column("owner", Id),
    Column("fallback_of", Id),
)

# The statuses stand here as literals: SQLite uses a partial index only if the query repeats its condition
# word for word, which a bound parameter never does.
IS_PENDING = delivery.c.status == literal_column("'pending'")
IS_CLAIMED = delivery.c.status == literal_column("'claimed'")
IS_OWED = delivery.c.status.in_([literal_column("'pending'"), literal_column("'claimed'")])
IS_DEAD = delivery.c.status == literal_column("'dead'")
IS_ENDED = delivery.c.status.in_(
    [literal_column(f"'{status}'") for status in ("delivered", "suppressed", "dead", "cancelled")]
)
IS_UNMATCHED = transition.c.matched == literal_column("false")


def _partial(name: str, condition: object, *columns: Column[object]) -> Index:
    return Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


_partial("delivery_due", IS_PENDING, delivery.c.channel, delivery.c.due_at)
_partial("delivery_give_up", IS_PENDING, delivery.c.give_up_at)
_partial("delivery_claimed", IS_CLAIMED, delivery.c.owner)
_partial("delivery_owed", IS_OWED, delivery.c.id)
_partial("delivery_dead", IS_DEAD, delivery.c.id)
_partial("delivery_ended", IS_ENDED, delivery.c.updated_at)
_partial("transition_unmatched", IS_UNMATCHED, transition.c.received_at)
Index("delivery_of_transition", delivery.c.transition_seq)
Index("delivery_of_channel", delivery.c.channel, delivery.c.id)
Index("delivery_of_handler", delivery.c.handler, delivery.c.id)

attempt = Table(
    "attempt",
    metadata,
    Column("delivery_id", Id, ForeignKey("delivery.id"), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("at", Milliseconds, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("milliseconds", Integer, nullable=False),
    sqlite_with_rowid=False,
)

node = Table(
    "node",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", Milliseconds, nullable=False),
    Column("heartbeat_at", Milliseconds, nullable=False),
    Column("beats", Integer, nullable=False),
    Column("config_hash", Text, nullable=False),
)

ledger = Table(
    "ledger",
    metadata,
    Column("handler", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""Counts kept in step with every change of a status; ``account`` is accepted, owed or one of the ends."""

counter = Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""Counts that belong to no channel: transitions accepted, those of them unmatched, duplicates, rows deleted again."""


def prepare(connection: Connection, store_id: str) -> None:
    """Create the tables in an empty database; leave those of our version alone.

    Raises:
        StoreError: the tables are of a newer gateway, or of another program.
    """
    present = set(inspect(connection).get_table_names())
    if not present:
        metadata.create_all(connection)
        connection.execute(insert(about).values(schema_version=SCHEMA_VERSION, store_id=store_id))
        connection.execute(insert(sequence).values(last=0))
        return
    recognise(connection)


def recognise(connection: Connection) -> None:
    """Make sure that the tables are ours and of a version we know.

    Raises:
        StoreError: the tables are of a newer gateway, or of another program.
    """
    present = set(inspect(connection).get_table_names())
    if about.name not in present or sequence.name not in present:
        raise StoreError("the database holds the tables of another program; give the store a file of its own")
    _refuse_newer(connection.execute(select(about.c.schema_version)).scalar_one())


def _refuse_newer(version: int) -> None:
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the store was written by a newer gateway: its schema is version {version} and this gateway "
            f"knows {SCHEMA_VERSION}; update the gateway, or point it at another file"
        )
