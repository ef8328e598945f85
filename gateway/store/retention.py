"""Retention: what has been kept long enough is deleted, a few rows at a time. What is owed stays, however old."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, delete, exists, select

from gateway.store import ledger
from gateway.store.dialects import shard_of
from gateway.store.instants import to_milliseconds
from gateway.store.schema import IS_ENDED, IS_UNMATCHED, about, attempt, delivery, transition

MOST_AT_ONCE = 200
"""Rows found for one transaction: it takes a few milliseconds, and hardly delays what is accepted meanwhile."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long rows are kept.

    Attributes:
        ended: deliveries, counted from their end, and what caused them.
        unmatched: transitions that no handler matched, counted from when they were received.
    """

    ended: timedelta
    unmatched: timedelta


@dataclass(frozen=True, slots=True)
class Expired:
    """What is to be deleted: deliveries that ended, and unmatched transitions received, before an instant.

    ``None`` spares the kind; ``limit``: how many rows of both together.
    """

    ended_before: datetime | None
    unmatched_before: datetime | None
    limit: int = MOST_AT_ONCE


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many rows were deleted: deliveries, the transitions that caused them, and unmatched transitions."""

    deliveries: int = 0
    transitions: int = 0
    unmatched: int = 0

    @property
    def found(self) -> int:
        """How much of a limit was used."""
        return self.deliveries + self.unmatched


_BEFORE: BindParameter[int] = bindparam("before")
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)

# Two gateways on one database: each would see the other's row of a transition's two, and neither would delete
# the transition. So one of them sweeps at a time. SQLite has one writer anyway, and leaves FOR UPDATE out.
TURN = select(about.c.store_id).with_for_update(skip_locked=True)

ENDED = (
    select(delivery.c.id, delivery.c.transition_seq)
    .where(IS_ENDED, delivery.c.updated_at < _BEFORE)
    .order_by(delivery.c.updated_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
UNMATCHED = (
    select(transition.c.seq)
    .where(IS_UNMATCHED, transition.c.received_at < _BEFORE)
    .order_by(transition.c.received_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
DELETE_ATTEMPTS = delete(attempt).where(attempt.c.delivery_id.in_(_IDS))
DELETE_DELIVERIES = delete(delivery).where(delivery.c.id.in_(_IDS))
DELETE_TRANSITIONS = delete(transition).where(transition.c.seq.in_(_IDS))
DELETE_CAUSES = DELETE_TRANSITIONS.where(~exists().where(delivery.c.transition_seq == transition.c.seq))


def forget(connection: Connection, node: int, wishes: Sequence[Expired]) -> list[Forgotten]:
    """Delete what has expired, the oldest first. The ledger goes on counting it."""
    return [_forget(connection, node, wish) for wish in wishes]


def _forget(connection: Connection, node: int, wish: Expired) -> Forgotten:
    if connection.execute(TURN).first() is None:
        return Forgotten()
    shard = shard_of(connection, node)
    deliveries, transitions = _forget_ended(connection, wish.ended_before, wish.limit)
    unmatched = _forget_unmatched(connection, wish.unmatched_before, wish.limit - deliveries)
    ledger.count(connection, shard, deliveries_forgotten=deliveries, transitions_forgotten=transitions + unmatched)
    return Forgotten(deliveries, transitions, unmatched)


def _forget_ended(connection: Connection, before: datetime | None, limit: int) -> tuple[int, int]:
    """Delete deliveries with their attempts, and those of their transitions that no other delivery needs."""
    if before is None:
        return 0, 0
    found = connection.execute(ENDED, {"before": to_milliseconds(before), "limit": limit}).all()
    if not found:
        return 0, 0
    ids = [row.id for row in found]
    connection.execute(DELETE_ATTEMPTS, {"ids": ids})
    connection.execute(DELETE_DELIVERIES, {"ids": ids})
    causes = connection.execute(DELETE_CAUSES, {"ids": sorted({row.transition_seq for row in found})})
    return len(ids), causes.rowcount


def _forget_unmatched(connection: Connection, before: datetime | None, limit: int) -> int:
    if before is None or limit <= 0:
        return 0
    seqs = connection.execute(UNMATCHED, {"before": to_milliseconds(before), "limit": limit}).scalars().all()
    if seqs:
        connection.execute(DELETE_TRANSITIONS, {"ids": seqs})
    return len(seqs)
