"""Where the two databases differ in what they are told. All else in this package is one SQL for both.

PostgreSQL serves several hosts at once, so nothing there may be a row that everybody waits for: ids come
from a sequence, counts are split into shards, and nobody reads the clock of a host.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

SHARDS = 64
"""Into how many rows each count is split at most; so many nodes can write without waiting for each other."""

_MIGRATION_LOCK = 0x67617465
_LEAVES_DUE = "leaves_due"

_NEXT_IDS = text("UPDATE sequence SET last = last + :number RETURNING last")
_NEXT_IDS_OF_SEQUENCE = text("SELECT nextval('gateway_id') FROM generate_series(1, :number)")
_LOCK_SCHEMA = text("SELECT pg_advisory_xact_lock(:key)")


def is_shared(connection: Connection) -> bool:
    """Whether processes on other hosts may use the database too: it is PostgreSQL."""
    return connection.dialect.name == "postgresql"


def next_ids(connection: Connection, number: int) -> Sequence[int]:
    """``number`` ids that were never given before, growing."""
    if is_shared(connection):
        return connection.execute(_NEXT_IDS_OF_SEQUENCE, {"number": number}).scalars().all()
    last: int = connection.execute(_NEXT_IDS, {"number": number}).scalar_one()
    return range(last - number + 1, last + 1)


def shard_of(connection: Connection, node: int) -> int:
    """Which rows of the counts ``node`` changes."""
    return node % SHARDS if is_shared(connection) else 0


def lock_schema(connection: Connection) -> None:
    """Be the only one to look at, make or migrate the tables, until the transaction ends.

    A file is written by one transaction at a time anyway.
    """
    if is_shared(connection):
        connection.execute(_LOCK_SCHEMA, {"key": _MIGRATION_LOCK})


def note_due(connection: Connection) -> None:
    """Remember that this transaction leaves something pending that is due now, for the other nodes to hear of."""
    connection.info[_LEAVES_DUE] = True


def leaves_due(connection: Connection) -> bool:
    """Whether something was noted since this was last asked."""
    return bool(connection.info.pop(_LEAVES_DUE, False))


class milliseconds_now(GenericFunction[int]):  # noqa: N801 # a function of SQL
    """The time by the database's clock, in milliseconds since 1970."""

    type = BigInteger()
    inherit_cache = True


@compiles(milliseconds_now, "sqlite")
def _on_sqlite(element: Any, compiler: Any, **_: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(milliseconds_now, "postgresql")
def _on_postgresql(element: Any, compiler: Any, **_: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
