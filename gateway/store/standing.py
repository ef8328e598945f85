"""Standing: how a store stands as a whole, for people and for metrics. What is counted row by row has a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from gateway.store import ledger, queries
from gateway.store.instants import to_instant, to_milliseconds
from gateway.store.rows import LedgerLine, NodeRow, Status
from gateway.store.schema import IS_DEAD, IS_OWED, delivery, transition

MOST_ROWS = 10_000
"""Owed deliveries, oldest first, and dead letters, newest first, that are looked at one by one."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a channel owes and why.

    Attributes:
        channel: its name.
        owed: how many deliveries, as the ledger has it.
        oldest_at: since when the oldest of them is owed; ``None`` when it is not among the oldest of the store.
        next_due_at: when the next is due; ``None`` when all are being sent.
        reasons: why they wait, and how many do, the most frequent first; of the oldest of the store only.
    """

    channel: str
    owed: int
    oldest_at: datetime | None = None
    next_due_at: datetime | None = None
    reasons: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Deliveries to a channel that were given up for one reason, and when the last of them was."""

    channel: str
    reason: str
    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """A store as it stands at one moment.

    Attributes:
        ledger: by handler and channel.
        counters: see :func:`gateway.store.ledger.counters`.
        waiting: the channels that owe something, by name.
        dead: what was given up lately, the most frequent first.
        nodes: the gateway processes on the store.
    """

    ledger: tuple[LedgerLine, ...]
    counters: Mapping[str, int]
    waiting: tuple[Waiting, ...]
    dead: tuple[DeadLetters, ...]
    nodes: tuple[NodeRow, ...]


@dataclass(frozen=True, slots=True)
class Overdue:
    """Deliveries to a channel that have been owed for too long: how many, and since when the oldest."""

    channel: str
    count: int
    oldest_at: datetime


_OWED_SINCE = (delivery.c.give_up_at - delivery.c.give_up_after).label("owed_since")
"""When a delivery began to be owed: its creation, or when it was last retried by hand."""

_OLDEST_OWED = (
    select(delivery.c.handler, delivery.c.channel, delivery.c.status, delivery.c.reason, _OWED_SINCE)
    .where(IS_OWED)
    .order_by(delivery.c.id)
    .limit(MOST_ROWS)
    .subquery()
)
_OWED = select(
    _OLDEST_OWED.c.channel,
    _OLDEST_OWED.c.status,
    _OLDEST_OWED.c.reason,
    func.count().label("number"),
    func.min(_OLDEST_OWED.c.owed_since).label("oldest"),
).group_by(_OLDEST_OWED.c.channel, _OLDEST_OWED.c.status, _OLDEST_OWED.c.reason)

_NEWEST_DEAD = (
    select(delivery.c.channel, delivery.c.reason, delivery.c.updated_at)
    .where(IS_DEAD)
    .order_by(delivery.c.id.desc())
    .limit(MOST_ROWS)
    .subquery()
)


def standing(connection: Connection, dead_since: datetime) -> Standing:
    """How the store stands, with the dead letters given up since ``dead_since``."""
    lines = ledger.lines(connection)
    return Standing(
        ledger=lines,
        counters=ledger.counters(connection),
        waiting=_waiting(connection, lines),
        dead=_dead(connection, dead_since),
        nodes=tuple(queries.nodes(connection)),
    )


def _waiting(connection: Connection, lines: Sequence[LedgerLine]) -> tuple[Waiting, ...]:
    owed: dict[str, Waiting] = {}
    for line in lines:
        known = owed.get(line.channel, Waiting(line.channel, 0))
        owed[line.channel] = replace(known, owed=known.owed + line.owed)
    due = queries.next_due(connection)
    groups = [*connection.execute(_OWED)]
    return tuple(
        _explained(one, [row for row in groups if row.channel == name], due.get(name))
        for name, one in sorted(owed.items())
        if one.owed
    )


def _explained(one: Waiting, groups: Sequence[Row[Any]], due_at: datetime | None) -> Waiting:
    counts: dict[str, int] = {}
    for row in groups:
        why = _why(row.status, row.reason)
        counts[why] = counts.get(why, 0) + row.number
    return replace(
        one,
        oldest_at=to_instant(min(row.oldest for row in groups)) if groups else None,
        next_due_at=due_at,
        reasons=tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
    )


def _why(status: Status, reason: str) -> str:
    return "sending" if status == "claimed" else reason or "new"


def _dead(connection: Connection, since: datetime) -> tuple[DeadLetters, ...]:
    table = _NEWEST_DEAD.c
    found = connection.execute(
        select(table.channel, table.reason, func.count().label("number"), func.max(table.updated_at).label("last"))
        .where(table.updated_at >= to_milliseconds(since))
        .group_by(table.channel, table.reason)
    )
    dead = [DeadLetters(row.channel, row.reason, row.number, to_instant(row.last)) for row in found]
    return tuple(sorted(dead, key=lambda one: (-one.count, one.channel, one.reason)))


def overdue(connection: Connection, before: datetime, but: str) -> list[Overdue]:
    """What is owed since ``before`` or longer, by channel; without the deliveries of the handler ``but``."""
    table = _OLDEST_OWED.c
    found = connection.execute(
        select(table.channel, func.count().label("number"), func.min(table.owed_since).label("oldest"))
        .where(table.owed_since < to_milliseconds(before), table.handler != but)
        .group_by(table.channel)
        .order_by(table.channel)
    )
    return [Overdue(row.channel, row.number, to_instant(row.oldest)) for row in found]


def occurred(connection: Connection, seqs: Sequence[int]) -> dict[int, datetime]:
    """When the transitions ``seqs`` occurred; those that are kept no more are left out."""
    found = select(transition.c.seq, transition.c.occurred_at).where(transition.c.seq.in_(seqs))
    return {seq: to_instant(at) for seq, at in connection.execute(found)}
