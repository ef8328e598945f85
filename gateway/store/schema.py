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
    Sequence,
    Table,
    Text,
    event,
    insert,
    inspect,
    literal_column,
    select,
    true,
)
from sqlalchemy.schema import CreateSequence

from gateway.errors import StoreError
from gateway.store.dialects import is_shared

SCHEMA_VERSION = 3
"""Of these tables. Whoever changes them raises it, and writes a revision in ``migrations/versions``."""

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
"""One row: the last id given to a transition, delivery or node. Ids only grow, also after deletions.

SQLite only: on PostgreSQL every node would wait for that row, so there is :data:`ids` in its place.
"""

ids = Sequence("gateway_id")
"""PostgreSQL only: gives out ids without anybody waiting. There, what is accepted later may be seen earlier."""

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
    Column("matched", Boolean, nullable=False, server_default=true()),
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


_partial_indexes: list[Index] = []


def _partial(name: str, condition: object, *columns: Column[object]) -> None:
    _partial_indexes.append(Index(name, *columns, sqlite_where=condition))


@event.listens_for(metadata, "before_create")
def _tell_postgresql(target: object, connection: Connection, **_: object) -> None:
    """Make its indexes partial too. Said where they are declared, it would have every process import its drivers."""
    if connection.dialect.name == "postgresql":
        for index in _partial_indexes:
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]


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
    Column("shard", Integer, primary_key=True, autoincrement=False, default=0),
    Column("count", Id, nullable=False),
    sqlite_with_rowid=False,
)
"""Counts kept in step with every change of a status; ``account`` is accepted, owed or one of the ends.

A count is the sum over its shards. On SQLite there is one, on PostgreSQL one for each node at work, so that
no node waits for another's transaction; see :func:`gateway.store.dialects.shard_of`.
"""

counter = Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("shard", Integer, primary_key=True, autoincrement=False, default=0),
    Column("count", Id, nullable=False),
    sqlite_with_rowid=False,
)
"""Counts that belong to no channel: transitions accepted, those of them unmatched, duplicates, rows
deleted again. In shards, too."""

rate = Table(
    "rate",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("granted", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Which of a channel's rate is used, by all nodes together; see :mod:`gateway.store.rates`."""

position = Table(
    "position",
    metadata,
    Column("source", Text, primary_key=True),
    Column("until", Milliseconds, nullable=False),
    sqlite_with_rowid=False,
)
"""Up to which occurrence the events of a source that we read ourselves are in here. Only grows."""

run = Table(
    "run",
    metadata,
    Column("source", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("occurred_at", Milliseconds, nullable=False),
    Column("seen_at", Milliseconds, nullable=False),
    sqlite_with_rowid=False,
)
"""The last state of each run of those sources that do not tell the state before. As many as were seen last."""

Index("run_seen", run.c.seen_at)

refused = Table(
    "refused",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    Column("received_at", Milliseconds, nullable=False),
    Column("complaint", Text, nullable=False),
    Column("event", Text, nullable=False),
)
"""Events that were not understood, with the reason, for somebody to look at. The latest of them."""


def prepare(connection: Connection, store_id: str) -> None:
    """Create the tables in an empty database; leave those of our version alone.

    Raises:
        StoreError: the tables are of another version of the gateway, or of another program.
    """
    if version_of(connection) is None:
        create(connection, store_id)
    else:
        recognise(connection)


def create(connection: Connection, store_id: str) -> None:
    """Create the tables, which are not there, and what is in them from the beginning."""
    shared = is_shared(connection)
    metadata.create_all(connection, [table for table in metadata.sorted_tables if not (shared and table is sequence)])
    if shared:
        connection.execute(CreateSequence(ids))
    else:
        connection.execute(insert(sequence).values(last=0))
    connection.execute(insert(about).values(schema_version=SCHEMA_VERSION, store_id=store_id))


def version_of(connection: Connection) -> int | None:
    """The version of the tables; ``None`` when there are none.

    Raises:
        StoreError: the tables are of another program.
    """
    present = set(inspect(connection).get_table_names())
    if not present:
        return None
    if not {about.name, delivery.name, ledger.name} <= present:
        raise StoreError("the database holds the tables of another program; give the store one of its own")
    version: int = connection.execute(select(about.c.schema_version)).scalar_one()
    return version


def recognise(connection: Connection) -> None:
    """Make sure that the tables are ours and of our version.

    Raises:
        StoreError: there are none, or they are of another version of the gateway, or of another program.
    """
    version = version_of(connection)
    if version is None:
        raise StoreError("there is no store yet: the database is empty")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the store was written by a newer gateway: its schema is version {version} and this gateway "
            f"knows {SCHEMA_VERSION}; update the gateway, or point it at another store"
        )
    if version < SCHEMA_VERSION:
        raise StoreError(
            f"the store was written by an older gateway: its schema is version {version} and this gateway "
            f"needs {SCHEMA_VERSION}; stop the gateways that use it and run `gateway migrate`"
        )
