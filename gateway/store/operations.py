"""Everything that changes rows. Each operation takes a batch and works inside a transaction of the caller's:

``operation(connection, node, arguments) -> results``, one result for each argument, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    insert,
    not_,
    null,
    or_,
    select,
    text,
    true,
    update,
)

from gateway.store import arrivals, ledger
from gateway.store.bulk import execute_many
from gateway.store.dialects import is_shared, next_ids, note_due, shard_of
from gateway.store.instants import to_instant, to_milliseconds
from gateway.store.rows import (
    Acceptance,
    Accepted,
    Delivery,
    NewDelivery,
    Record,
    Recorded,
    Run,
    Status,
    Want,
    WantExpired,
)
from gateway.store.schema import IS_CLAIMED, IS_OWED, IS_PENDING, about, attempt, delivery, transition

A = TypeVar("A")
R = TypeVar("R")
Operation = Callable[[Connection, int, Sequence[A]], Sequence[R]]

_MILLISECOND = timedelta(milliseconds=1)

_INSERT_TRANSITION = text(
    "INSERT INTO transition (seq, id, occurred_at, received_at, source, kind, obj_name, flow_name, run_id, "
    "old_type, new_type, payload, matched) VALUES (:seq, :id, :occurred_at, :received_at, :source, :kind, :obj_name, "
    ":flow_name, :run_id, :old_type, :new_type, :payload, :matched) ON CONFLICT (id) DO NOTHING"
)
_INSERT_DELIVERY = insert(delivery)
_INSERT_ATTEMPT = insert(attempt)


# accept


def accept(connection: Connection, node: int, acceptances: Sequence[Acceptance]) -> list[Accepted]:
    """Keep transitions with their deliveries; one whose id is known already is counted and not inserted."""
    given = next_ids(connection, sum(1 + len(a.deliveries) for a in acceptances))
    ids = iter(given)
    seqs = list(islice(ids, len(acceptances)))
    numbered = list(zip(seqs, acceptances, strict=True))
    new = _insert_transitions(connection, [_transition_row(a, seq) for seq, a in numbered if a.kept])
    new.update(seq for seq, a in numbered if not a.kept)
    made = {
        seq: tuple(_made(row, next(ids), seq, a.transition.received_at, node) for row in a.deliveries)
        for seq, a in numbered
        if seq in new
    }
    _insert_deliveries(connection, node, [one for deliveries in made.values() for one in deliveries])
    _remember_runs(connection, [a for seq, a in numbered if seq in new], given)
    unmatched = sum(not deliveries for deliveries in made.values())
    shard, duplicates = shard_of(connection, node), len(acceptances) - len(made)
    ledger.count(connection, shard, transitions=len(made), unmatched=unmatched, duplicates=duplicates)
    return [Accepted(seq not in made, made.get(seq, ())) for seq in seqs]


def _remember_runs(connection: Connection, acceptances: Sequence[Acceptance], ids: Sequence[int]) -> None:
    """Keep the last state of their runs, where they tell one."""
    seen: dict[arrivals.RunKey, tuple[Run, int]] = {}
    for one in acceptances:
        if one.run is not None:
            key, known = (one.run.source, one.run.run_id), seen.get((one.run.source, one.run.run_id))
            if known is None or known[0].occurred_at <= one.run.occurred_at:
                seen[key] = one.run, to_milliseconds(one.transition.received_at)
    arrivals.remember(connection, seen, ids)


def accept_all(
    connection: Connection, node: int, batches: Sequence[Sequence[Acceptance]]
) -> list[tuple[Accepted, ...]]:
    """As :func:`accept`, for several that came together and are answered together."""
    answers = iter(accept(connection, node, [one for batch in batches for one in batch]))
    return [tuple(islice(answers, len(batch))) for batch in batches]


def _insert_transitions(connection: Connection, rows: list[dict[str, Any]]) -> set[int]:
    """Insert those whose id is new and return their seqs."""
    if not rows:
        return set()
    seqs = [row["seq"] for row in rows]
    if is_shared(connection):  # sorted, so that two nodes told of the same never wait for each other crosswise
        rows = sorted(rows, key=itemgetter("id"))
    if execute_many(connection, _INSERT_TRANSITION, rows).rowcount == len(rows):
        return set(seqs)
    kept = select(transition.c.seq).where(transition.c.seq.between(seqs[0], seqs[-1]))
    return set(connection.execute(kept).scalars())


def _transition_row(acceptance: Acceptance, seq: int) -> dict[str, Any]:
    row = acceptance.transition
    return {
        "seq": seq,
        "id": row.id,
        "occurred_at": to_milliseconds(row.occurred_at),
        "received_at": to_milliseconds(row.received_at),
        "source": row.source,
        "kind": row.kind,
        "obj_name": row.obj_name,
        "flow_name": row.flow_name,
        "run_id": row.run_id,
        "old_type": row.old_type,
        "new_type": row.new_type,
        "payload": row.payload,
        "matched": bool(acceptance.deliveries),
    }


def _made(new: NewDelivery, id: int, seq: int, now: datetime, node: int, fallback_of: int | None = None) -> Delivery:
    """The delivery that ``new`` becomes."""
    status: Status = "suppressed" if new.suppressed else "claimed" if new.claimed else "pending"
    return Delivery(
        id=id,
        transition_seq=seq,
        handler=new.handler,
        channel=new.channel,
        status=status,
        reason=new.suppressed,
        due_at=now,
        attempts=0,
        forgiven=0,
        title=new.title,
        body=new.body,
        format=new.format,
        severity=new.severity,
        required=new.required,
        created_at=now,
        updated_at=now,
        give_up_at=now + new.give_up_after,
        give_up_after=new.give_up_after,
        owner=node if status == "claimed" else None,
        fallback_of=fallback_of,
    )


def _insert_deliveries(connection: Connection, node: int, deliveries: Sequence[Delivery]) -> None:
    if not deliveries:
        return
    execute_many(connection, _INSERT_DELIVERY, [_delivery_row(one) for one in deliveries])
    entries = ledger.Entries()
    for one in deliveries:
        entries.accepted(one.handler, one.channel, one.status)
    entries.post(connection, shard_of(connection, node))
    if any(one.status == "pending" for one in deliveries):
        note_due(connection)


def _delivery_row(one: Delivery) -> dict[str, Any]:
    return {
        "id": one.id,
        "transition_seq": one.transition_seq,
        "handler": one.handler,
        "channel": one.channel,
        "status": one.status,
        "reason": one.reason,
        "due_at": to_milliseconds(one.due_at),
        "attempts": one.attempts,
        "forgiven": one.forgiven,
        "title": one.title,
        "body": one.body,
        "format": one.format,
        "severity": one.severity,
        "required": one.required,
        "created_at": to_milliseconds(one.created_at),
        "updated_at": to_milliseconds(one.updated_at),
        "give_up_at": to_milliseconds(one.give_up_at),
        "give_up_after": one.give_up_after // _MILLISECOND,
        "owner": one.owner,
        "fallback_of": one.fallback_of,
    }


def delivery_of(row: Row[Any]) -> Delivery:
    """The delivery that a row of its table tells."""
    return Delivery(
        id=row.id,
        transition_seq=row.transition_seq,
        handler=row.handler,
        channel=row.channel,
        status=row.status,
        reason=row.reason,
        due_at=to_instant(row.due_at),
        attempts=row.attempts,
        forgiven=row.forgiven,
        title=row.title,
        body=row.body,
        format=row.format,
        severity=row.severity,
        required=row.required,
        created_at=to_instant(row.created_at),
        updated_at=to_instant(row.updated_at),
        give_up_at=to_instant(row.give_up_at),
        give_up_after=row.give_up_after * _MILLISECOND,
        owner=row.owner,
        fallback_of=row.fallback_of,
    )


def count_unmatched(connection: Connection, node: int, numbers: Sequence[int]) -> list[None]:
    """Count transitions that matched no handler and are not kept."""
    number = sum(numbers)
    ledger.count(connection, shard_of(connection, node), transitions=number, unmatched=number)
    return [None for _ in numbers]


# claim and give back

_NOW: BindParameter[int] = bindparam("now")


def _claiming(chosen: Select[int]) -> Any:
    """The statement that makes the chosen deliveries this node's and returns them."""
    values = {"status": "claimed", "owner": bindparam("node"), "updated_at": _NOW}
    # What another node is claiming right now is passed over. Chosen apart and first: inside the condition,
    # PostgreSQL might choose again for every row. SQLite knows no locks of rows and leaves that out.
    first = chosen.with_for_update(skip_locked=True).cte("chosen")
    return update(delivery).where(delivery.c.id.in_(select(first.c.id))).values(values).returning(*delivery.c)


def _first(condition: ColumnElement[bool], order: ColumnElement[Any]) -> Select[int]:
    chosen = select(delivery.c.id).where(IS_PENDING, condition)
    return chosen.order_by(order, delivery.c.id).limit(bindparam("limit"))


DUE = _first((delivery.c.channel == bindparam("wanted_channel")) & (delivery.c.due_at <= _NOW), order=delivery.c.due_at)
EXPIRED = _first(
    (delivery.c.give_up_at <= _NOW)
    & or_(
        delivery.c.channel.in_(bindparam("channels", expanding=True)),
        delivery.c.give_up_at <= bindparam("orphans_before"),
    ),
    order=delivery.c.give_up_at,
)
_CLAIM_DUE = _claiming(DUE)
_CLAIM_EXPIRED = _claiming(EXPIRED)


def claim(connection: Connection, node: int, wants: Sequence[Want]) -> list[tuple[Delivery, ...]]:
    """Take due deliveries for this node, those due first first."""
    return [_claim(connection, node, want) for want in wants]


def _claim(connection: Connection, node: int, want: Want) -> tuple[Delivery, ...]:
    bound = {"wanted_channel": want.channel, "now": to_milliseconds(want.now), "limit": want.limit, "node": node}
    claimed = [delivery_of(row) for row in connection.execute(_CLAIM_DUE, bound)]
    return tuple(sorted(claimed, key=lambda one: (one.due_at, one.id)))


def claim_expired(connection: Connection, node: int, wants: Sequence[WantExpired]) -> list[tuple[Delivery, ...]]:
    """Take deliveries that have waited too long, for their end to be recorded."""
    return [_claim_expired(connection, node, want) for want in wants]


def _claim_expired(connection: Connection, node: int, want: WantExpired) -> tuple[Delivery, ...]:
    bound = {
        "channels": list(want.channels),
        "now": to_milliseconds(want.now),
        "orphans_before": to_milliseconds(want.now - want.orphan_grace),
        "limit": want.limit,
        "node": node,
    }
    return tuple(delivery_of(row) for row in connection.execute(_CLAIM_EXPIRED, bound))


_RELEASE = update(delivery).where(IS_CLAIMED, delivery.c.owner == bindparam("node"))
_RELEASE = _RELEASE.values(status="pending", owner=null())


def release(connection: Connection, node: int, arguments: Sequence[None]) -> list[int]:
    """Give back everything this node has claimed; how many that were."""
    released = connection.execute(_RELEASE, {"node": node}).rowcount
    if released:
        note_due(connection)
    return [released for _ in arguments]


# record


@dataclass(frozen=True, slots=True)
class _Held:
    """A record about a delivery that is still this node's, and the attempts it has in the store."""

    record: Record
    attempts: int


_CLAIMED = (
    select(delivery.c.id, delivery.c.owner, delivery.c.attempts)
    .where(delivery.c.id.in_(bindparam("ids", expanding=True)), delivery.c.status == "claimed")
    .order_by(delivery.c.id)
    .with_for_update()
)
_RECORD = (
    update(delivery)
    .where(delivery.c.id == bindparam("held_id"))
    .values(
        status=bindparam("status"),
        reason=bindparam("reason"),
        due_at=bindparam("due_at"),
        attempts=delivery.c.attempts + bindparam("made"),
        forgiven=delivery.c.forgiven + bindparam("pardoned"),
        updated_at=bindparam("at"),
        owner=null(),
    )
)


def record(connection: Connection, node: int, records: Sequence[Record]) -> list[Recorded]:
    """Write down attempts and what follows from them.

    A record about a delivery that its claimer holds no longer is refused and counted: whoever
    holds it now decides, so a delivery never ends twice.
    """
    held = _held(connection, records)
    kept = [one.record for one in held.values()]
    _write(connection, node, kept)
    _write_attempts(connection, list(held.values()))
    fallbacks = _insert_fallbacks(connection, node, kept)
    ledger.count(connection, shard_of(connection, node), late_records=len(records) - len(held))
    return [
        Recorded(kept=position in held, fallback=fallbacks.get(one.delivery.id)) for position, one in enumerate(records)
    ]


def _held(connection: Connection, records: Sequence[Record]) -> dict[int, _Held]:
    """Those records that are about deliveries their claimers still hold, by position."""
    rows = connection.execute(_CLAIMED, {"ids": [one.delivery.id for one in records]})
    claims = {(row.id, row.owner): row.attempts for row in rows}
    held: dict[int, _Held] = {}
    for position, one in enumerate(records):
        attempts = claims.pop((one.delivery.id, one.delivery.owner), None)
        if attempts is not None:
            held[position] = _Held(one, attempts)
    return held


def _write(connection: Connection, node: int, records: Sequence[Record]) -> None:
    if not records:
        return
    execute_many(connection, _RECORD, [_record_row(one) for one in records])
    entries = ledger.Entries()
    for one in records:
        entries.moved(one.delivery.handler, one.delivery.channel, "claimed", one.status)
    entries.post(connection, shard_of(connection, node))
    if any(one.status == "pending" and one.due_at <= one.at for one in records):
        note_due(connection)


def _record_row(one: Record) -> dict[str, Any]:
    return {
        "held_id": one.delivery.id,
        "status": one.status,
        "reason": one.reason,
        "due_at": to_milliseconds(one.due_at),
        "made": int(one.attempt is not None),
        "pardoned": int(one.attempt is not None and not one.counted),
        "at": to_milliseconds(one.at),
    }


def _write_attempts(connection: Connection, held: Sequence[_Held]) -> None:
    rows = [
        {
            "delivery_id": one.record.delivery.id,
            "n": one.attempts + 1,
            "at": to_milliseconds(made.at),
            "outcome": made.outcome,
            "reason": made.reason,
            "detail": made.detail,
            "milliseconds": made.milliseconds,
        }
        for one in held
        if (made := one.record.attempt) is not None
    ]
    if rows:
        execute_many(connection, _INSERT_ATTEMPT, rows)


def _insert_fallbacks(connection: Connection, node: int, records: Sequence[Record]) -> dict[int, Delivery]:
    """Insert what takes over, by the id of what it takes over from."""
    falling = [(one, one.fallback) for one in records if one.fallback is not None]
    if not falling:
        return {}
    ids = next_ids(connection, len(falling))
    made = {
        one.delivery.id: _made(new, id, one.delivery.transition_seq, one.at, node, one.delivery.id)
        for id, (one, new) in zip(ids, falling, strict=True)
    }
    _insert_deliveries(connection, node, list(made.values()))
    return made


# by hand


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator wants of one delivery, and when it was said."""

    delivery_id: int
    at: datetime


def retry(connection: Connection, node: int, orders: Sequence[Order]) -> list[bool]:
    """Owe pending, dead or cancelled deliveries from now on, with all their attempts and time before them again."""
    return [_retry(connection, node, order) for order in orders]


def _retry(connection: Connection, node: int, order: Order) -> bool:
    found = _find(connection, order.delivery_id)
    if found is None or found.status not in ("pending", "dead", "cancelled"):
        return False
    note_due(connection)
    _move(
        connection,
        node,
        found,
        "pending",
        order.at,
        reason="retried",
        due_at=to_milliseconds(order.at),
        forgiven=found.attempts,
        give_up_at=to_milliseconds(order.at + found.give_up_after),
    )
    return True


def cancel(connection: Connection, node: int, orders: Sequence[Order]) -> list[bool]:
    """End pending deliveries. One that is being sent right now is not touched."""
    return [_call_off(connection, node, order, "pending", "cancelled") for order in orders]


def drop(connection: Connection, node: int, orders: Sequence[Order]) -> list[bool]:
    """Take dead letters out of the way: they are cancelled, their attempts stay."""
    return [_call_off(connection, node, order, "dead", "dropped") for order in orders]


def _call_off(connection: Connection, node: int, order: Order, status: Status, reason: str) -> bool:
    """Cancel a delivery if it is in ``status``."""
    found = _find(connection, order.delivery_id)
    if found is None or found.status != status:
        return False
    _move(connection, node, found, "cancelled", order.at, reason=reason)
    return True


def _find(connection: Connection, delivery_id: int) -> Delivery | None:
    row = connection.execute(select(delivery).where(delivery.c.id == delivery_id).with_for_update()).one_or_none()
    return None if row is None else delivery_of(row)


def _move(connection: Connection, node: int, one: Delivery, status: Status, at: datetime, **values: Any) -> None:
    moved = update(delivery).where(delivery.c.id == one.id)
    connection.execute(moved.values(status=status, updated_at=to_milliseconds(at), **values))
    entries = ledger.Entries()
    entries.moved(one.handler, one.channel, one.status, status)
    entries.post(connection, shard_of(connection, node))


# the wall clock

SMALLEST_STEP = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class ClockReading:
    """How the wall clock stands.

    Attributes:
        offset: by how much it is ahead of the host's monotonic clock.
        now: what it shows.
        since: what it would show had it been set right after the last reading: whatever was written later
            than that, it may have been written by the clock as it is now.
    """

    offset: timedelta
    now: datetime
    since: datetime


def follow_clock(connection: Connection, node: int, readings: Sequence[ClockReading]) -> list[timedelta]:
    """Move what is owed by as much as the wall clock was set, so that it still waits as long as it was to wait.

    The offset is kept in the store: of several processes on the host only the first to notice a
    step moves the rows. Returns the step, zero for none. Nodes on several hosts go by the database's
    clock, which no host's has anything to do with.
    """
    if is_shared(connection):
        return [timedelta(0) for _ in readings]
    return [_follow_clock(connection, reading) * _MILLISECOND for reading in readings]


def _follow_clock(connection: Connection, reading: ClockReading) -> int:
    offset = reading.offset // _MILLISECOND
    known = connection.execute(select(about.c.clock_offset)).scalar_one()
    step: int = 0 if known is None else offset - known
    if known is not None and abs(step) <= SMALLEST_STEP // _MILLISECOND:
        return 0
    connection.execute(update(about).values(clock_offset=offset))
    if step:
        _move_times(connection, reading, step)
    return step


def _move_times(connection: Connection, reading: ClockReading, step: int) -> None:
    """Move what the clock wrote before it was set; what it wrote since is right already.

    Set back, it shows some moments for a second time, and who wrote then cannot be told apart. Such
    rows are due too early rather than an hour too late, and are given up too late rather than too early.
    """
    is_right = delivery.c.updated_at > to_milliseconds(reading.since)
    if step < 0:
        is_right &= delivery.c.updated_at <= to_milliseconds(reading.now)
    is_wrong = not_(is_right)
    due = update(delivery).where(IS_PENDING, is_wrong if step > 0 else true())
    connection.execute(due.values(due_at=delivery.c.due_at + step))
    given_up = update(delivery).where(IS_OWED, is_wrong)
    connection.execute(given_up.values(give_up_at=delivery.c.give_up_at + step))
