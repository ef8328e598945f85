"""The ledger: counts per handler and channel, moved in the transaction that changes a delivery's status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import BigInteger, ColumnElement, Connection, cast, func, select, text

from gateway.store import schema
from gateway.store.rows import LedgerLine, Status

OWED: frozenset[str] = frozenset({"pending", "claimed"})
COUNTERS = (
    "transitions",
    "unmatched",
    "duplicates",
    "refused",
    "late_records",
    "deliveries_forgotten",
    "transitions_forgotten",
)

_POST = text(
    "INSERT INTO ledger (handler, channel, account, shard, count) "
    "VALUES (:handler, :channel, :account, :shard, :count) "
    "ON CONFLICT (handler, channel, account, shard) DO UPDATE SET count = ledger.count + excluded.count"
)
_COUNT = text(
    "INSERT INTO counter (name, shard, count) VALUES (:name, :shard, :count) "
    "ON CONFLICT (name, shard) DO UPDATE SET count = counter.count + excluded.count"
)


class Entries:
    """The changes of one transaction, summed up before they are posted."""

    def __init__(self) -> None:
        self._changes: Counter[tuple[str, str, str]] = Counter()

    def accepted(self, handler: str, channel: str, status: Status) -> None:
        """A delivery has entered the store in ``status``."""
        self._changes[handler, channel, "accepted"] += 1
        self._changes[handler, channel, _account(status)] += 1

    def moved(self, handler: str, channel: str, before: Status, after: Status) -> None:
        """A delivery went from one status to another."""
        self._changes[handler, channel, _account(before)] -= 1
        self._changes[handler, channel, _account(after)] += 1

    def post(self, connection: Connection, shard: int) -> None:
        """Write the sums. Sorted, so that two writers never wait for each other's rows crosswise."""
        changes = sorted((key, count) for key, count in self._changes.items() if count)
        if changes:
            columns = ("handler", "channel", "account")
            rows = [dict(zip(columns, key, strict=True), shard=shard, count=n) for key, n in changes]
            connection.execute(_POST, rows)


def _account(status: Status) -> str:
    return "owed" if status in OWED else status


def count(connection: Connection, shard: int, **changes: int) -> None:
    """Add to the counters that belong to no channel."""
    rows = [{"name": name, "shard": shard, "count": change} for name, change in sorted(changes.items()) if change]
    if rows:
        connection.execute(_COUNT, rows)


def counters(connection: Connection) -> dict[str, int]:
    """The counters that belong to no channel.

    ``transitions`` accepted, those ``unmatched`` by any handler, ``duplicates`` not accepted again,
    ``refused`` events that were not understood,
    ``late_records`` refused because the delivery belonged to another node by then;
    ``deliveries_forgotten`` and ``transitions_forgotten``: rows deleted because they had been kept long enough.
    """
    table = schema.counter
    found = connection.execute(select(table.c.name, _sum(table.c.count)).group_by(table.c.name))
    return dict.fromkeys(COUNTERS, 0) | {row[0]: row[1] for row in found}


def _sum(shards: ColumnElement[int]) -> ColumnElement[int]:
    return cast(func.sum(shards), BigInteger)  # PostgreSQL makes a decimal of it


def lines(connection: Connection) -> tuple[LedgerLine, ...]:
    """The ledger, by handler and channel."""
    table = schema.ledger
    found: dict[tuple[str, str], dict[str, int]] = {}
    keys = (table.c.handler, table.c.channel, table.c.account)
    for handler, channel, account, n in connection.execute(
        select(*keys, _sum(table.c.count)).group_by(*keys).order_by(*keys)
    ):
        found.setdefault((handler, channel), {})[account] = n
    return tuple(LedgerLine(handler, channel, **accounts) for (handler, channel), accounts in found.items())


def total(ledger: Iterable[LedgerLine]) -> LedgerLine:
    """The sum of some lines, under no handler and no channel."""
    names = ("accepted", "delivered", "suppressed", "dead", "cancelled", "owed")
    kept = list(ledger)
    return LedgerLine("", "", **{name: sum(getattr(line, name) for line in kept) for name in names})
