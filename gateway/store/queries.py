"""Everything that reads rows without changing any."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, select, text

from gateway.store.instants import to_instant, to_milliseconds
from gateway.store.operations import delivery_of
from gateway.store.rows import (
    Attempt,
    Delivery,
    DeliveryFilter,
    DeliveryHistory,
    NodeRow,
    Oldest,
    TransitionFilter,
    TransitionRow,
)
from gateway.store.schema import (
    IS_DEAD,
    IS_ENDED,
    IS_PENDING,
    IS_UNMATCHED,
    attempt,
    delivery,
    node,
    transition,
)

# One step of the index per channel, however many deliveries wait: a GROUP BY would read them all.
NEXT_DUE = text(
    """
    WITH RECURSIVE waiting(channel) AS (
        SELECT min(channel) FROM delivery WHERE status = 'pending'
        UNION ALL
        SELECT (SELECT min(channel) FROM delivery WHERE status = 'pending' AND channel > waiting.channel)
        FROM waiting WHERE waiting.channel IS NOT NULL
    )
    SELECT channel,
           (SELECT min(due_at) FROM delivery WHERE status = 'pending' AND delivery.channel = waiting.channel)
    FROM waiting WHERE channel IS NOT NULL
    """
)
NEXT_GIVE_UP = select(func.min(delivery.c.give_up_at)).where(IS_PENDING)
OLDEST_ENDED = select(func.min(delivery.c.updated_at)).where(IS_ENDED)
OLDEST_UNMATCHED = select(func.min(transition.c.received_at)).where(IS_UNMATCHED)

NEWEST = select(transition.c.received_at).order_by(transition.c.seq.desc()).limit(1)

_LAST_SEQ = select(func.max(transition.c.seq))
_RECEIVED_AT = (
    select(transition.c.received_at).where(transition.c.seq >= bindparam("seq")).order_by(transition.c.seq).limit(1)
)


def next_due(connection: Connection) -> dict[str, datetime]:
    """For each channel something is pending for, when the first of it is due."""
    return {channel: to_instant(due_at) for channel, due_at in connection.execute(NEXT_DUE)}


def next_give_up(connection: Connection) -> datetime | None:
    """When the first pending delivery has waited too long."""
    return _instant(connection.execute(NEXT_GIVE_UP).scalar_one())


def newest(connection: Connection) -> datetime | None:
    """When the last transition that is kept was received; ``None`` when none is."""
    return _instant(connection.execute(NEWEST).scalar_one_or_none())


def oldest(connection: Connection) -> Oldest:
    """Since when what has ended, and what matched no handler, is kept."""
    ended_at = connection.execute(OLDEST_ENDED).scalar_one()
    return Oldest(_instant(ended_at), _instant(connection.execute(OLDEST_UNMATCHED).scalar_one()))


def _instant(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else to_instant(milliseconds)


def deliveries(connection: Connection, wanted: DeliveryFilter, limit: int, before: int | None) -> list[Delivery]:
    """Deliveries, newest first; ``before`` is the last id of the page before."""
    query = select(delivery).where(*_conditions(wanted)).order_by(delivery.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(delivery.c.id < before)
    return [delivery_of(row) for row in connection.execute(query)]


def _conditions(wanted: DeliveryFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.status is not None:
        conditions.append(IS_DEAD if wanted.status == "dead" else delivery.c.status == wanted.status)
    if wanted.channel is not None:
        conditions.append(delivery.c.channel == wanted.channel)
    if wanted.handler is not None:
        conditions.append(delivery.c.handler == wanted.handler)
    if wanted.since is not None:
        conditions.append(delivery.c.created_at >= to_milliseconds(wanted.since))
    if wanted.transition_seq is not None:
        conditions.append(delivery.c.transition_seq == wanted.transition_seq)
    return conditions


def history(connection: Connection, delivery_id: int) -> DeliveryHistory | None:
    """One delivery with its attempts and its transition; ``None`` when there is none of that id."""
    row = connection.execute(select(delivery).where(delivery.c.id == delivery_id)).one_or_none()
    if row is None:
        return None
    made = connection.execute(select(attempt).where(attempt.c.delivery_id == delivery_id).order_by(attempt.c.n))
    cause = connection.execute(select(transition).where(transition.c.seq == row.transition_seq)).one()
    return DeliveryHistory(delivery_of(row), tuple(_attempt(one) for one in made), _transition(cause))


def transitions(
    connection: Connection, wanted: TransitionFilter, limit: int, before: int | None
) -> list[TransitionRow]:
    """Transitions, newest first; ``before`` is the last seq of the page before."""
    query = select(transition).where(*_about_transitions(connection, wanted))
    if before is not None:
        query = query.where(transition.c.seq < before)
    rows = connection.execute(query.order_by(transition.c.seq.desc()).limit(limit))
    return [_transition(row) for row in rows]


def _about_transitions(connection: Connection, wanted: TransitionFilter) -> Iterator[ColumnElement[bool]]:
    columns = transition.c
    equal = (
        (columns.flow_name, wanted.flow),
        (columns.obj_name, wanted.task),
        (columns.kind, None if wanted.task is None else "task"),
        (columns.run_id, wanted.run_id),
        (columns.source, wanted.source),
        (columns.new_type, wanted.state),
    )
    yield from (column == value for column, value in equal if value is not None)
    if wanted.matched is not None:
        yield columns.matched.is_(True) if wanted.matched else IS_UNMATCHED
    if wanted.since is not None:
        yield columns.seq >= _first_since(connection, to_milliseconds(wanted.since))


def _first_since(connection: Connection, at: int) -> int:
    """The seq from which on transitions were received ``at`` or later. Found by halving: there is no index of times."""
    low, high = 0, 1 + (connection.execute(_LAST_SEQ).scalar_one() or 0)
    while low < high:
        middle = (low + high) // 2
        received_at = connection.execute(_RECEIVED_AT, {"seq": middle}).scalar_one_or_none()
        if received_at is not None and received_at < at:
            low = middle + 1
        else:
            high = middle
    return low


def transition_of(connection: Connection, id: str) -> TransitionRow | None:
    """The transition of that id; ``None`` when there is none."""
    row = connection.execute(select(transition).where(transition.c.id == id)).one_or_none()
    return None if row is None else _transition(row)


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(to_instant(row.at), row.outcome, row.reason, row.detail, row.milliseconds)


def _transition(row: Row[Any]) -> TransitionRow:
    return TransitionRow(
        id=row.id,
        source=row.source,
        kind=row.kind,
        obj_name=row.obj_name,
        flow_name=row.flow_name,
        run_id=row.run_id,
        old_type=row.old_type,
        new_type=row.new_type,
        payload=row.payload,
        occurred_at=to_instant(row.occurred_at),
        received_at=to_instant(row.received_at),
        seq=row.seq,
        matched=row.matched,
    )


def nodes(connection: Connection) -> list[NodeRow]:
    """The gateway processes on the store."""
    return [
        NodeRow(row.id, row.pid, to_instant(row.started_at), to_instant(row.heartbeat_at), row.config_hash)
        for row in connection.execute(select(node).order_by(node.c.id))
    ]
