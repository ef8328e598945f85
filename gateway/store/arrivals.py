"""Arrivals: what is kept of sources beside their transitions.

How far each was read, the last state of its runs, and what it told that was not understood. The changes are
operations of the writer, as in :mod:`gateway.store.operations`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select, text, tuple_

from gateway.store import ledger
from gateway.store.bulk import execute_many
from gateway.store.dialects import next_ids, shard_of
from gateway.store.instants import to_instant, to_milliseconds
from gateway.store.rows import NewRefused, Position, Refused, Run
from gateway.store.schema import position, refused, run

MOST_RUNS = 100_000
"""So many runs are remembered, those seen last."""

MOST_REFUSED = 1_000
"""So many events that were not understood are kept, the latest."""

LONGEST_EVENT = 64 * 1024
"""Characters of such an event that are kept."""

_PRUNE_EVERY = 1_000
"""Runs are counted whenever the store gives out an id that is a multiple of it."""

_MOST_PRUNED = 10 * _PRUNE_EVERY
"""So many at once: what is accepted meanwhile waits."""

_ASKED_AT_A_TIME = 500
"""No database takes a statement of any length."""

RunKey = tuple[str, str]
"""Source and run id."""

_ADVANCE = text(
    "INSERT INTO position (source, until) VALUES (:source, :until) "
    "ON CONFLICT (source) DO UPDATE SET until = excluded.until WHERE position.until < excluded.until"
)
_REMEMBER = text(
    "INSERT INTO run (source, run_id, type, name, occurred_at, seen_at) "
    "VALUES (:source, :run_id, :type, :name, :occurred_at, :seen_at) "
    "ON CONFLICT (source, run_id) DO UPDATE SET type = excluded.type, name = excluded.name, "
    "occurred_at = excluded.occurred_at, seen_at = excluded.seen_at WHERE run.occurred_at <= excluded.occurred_at"
)


def advance(connection: Connection, node: int, positions: Sequence[Position]) -> list[None]:
    """Note how far sources were read; never back."""
    for one in positions:
        connection.execute(_ADVANCE, {"source": one.source, "until": to_milliseconds(one.until)})
    return [None for _ in positions]


def position_of(connection: Connection, source: str) -> Position | None:
    """How far ``source`` was read; ``None`` if it never was."""
    until = connection.execute(select(position.c.until).where(position.c.source == source)).scalar()
    return None if until is None else Position(source, to_instant(until))


def remember(connection: Connection, seen: Mapping[RunKey, tuple[Run, int]], ids: Iterable[int]) -> None:
    """Keep the last state of runs, each with the instant it was seen; now and then let go of those seen first.

    ``ids``: all that the store gave out for it.
    """
    if not seen:
        return
    rows = [
        {
            "source": one.source,
            "run_id": one.run_id,
            "type": one.type,
            "name": one.name,
            "occurred_at": to_milliseconds(one.occurred_at),
            "seen_at": seen_at,
        }
        for _, (one, seen_at) in sorted(seen.items())  # sorted, so that two nodes never wait crosswise
    ]
    execute_many(connection, _REMEMBER, rows)
    if any(id % _PRUNE_EVERY == 0 for id in ids):
        _let_go_of_runs(connection)


def _let_go_of_runs(connection: Connection) -> None:
    """Those that another node is just writing are left to the next."""
    oldest_kept = select(run.c.seen_at).order_by(run.c.seen_at.desc()).offset(MOST_RUNS - 1).limit(1).scalar_subquery()
    gone = select(run.c.source, run.c.run_id).where(run.c.seen_at < oldest_kept).order_by(run.c.seen_at)
    chosen = gone.limit(_MOST_PRUNED).with_for_update(skip_locked=True)
    connection.execute(delete(run).where(tuple_(run.c.source, run.c.run_id).in_(chosen)))


def runs(connection: Connection, keys: Iterable[RunKey]) -> dict[RunKey, Run]:
    """The last states of those of the runs ``keys`` that are remembered."""
    wanted = sorted(set(keys))
    return {
        (row.source, row.run_id): Run(row.source, row.run_id, row.type, row.name, to_instant(row.occurred_at))
        for at in range(0, len(wanted), _ASKED_AT_A_TIME)
        for row in connection.execute(_runs_of(wanted[at : at + _ASKED_AT_A_TIME]))
    }


def _runs_of(keys: Sequence[RunKey]) -> Select[Any]:
    return select(run).where(tuple_(run.c.source, run.c.run_id).in_(keys))


def refuse(connection: Connection, node: int, batches: Sequence[Sequence[NewRefused]]) -> list[None]:
    """Keep events that were not understood, count them, and let go of those that are too many."""
    events = [one for batch in batches for one in batch]
    if events:
        ids = next_ids(connection, len(events))
        latest = list(zip(ids, events, strict=True))[-MOST_REFUSED:]
        connection.execute(insert(refused), [_refused_row(id, one) for id, one in latest])
        ledger.count(connection, shard_of(connection, node), refused=len(events))
        newest_gone = select(refused.c.id).order_by(refused.c.id.desc()).offset(MOST_REFUSED).limit(1).scalar_subquery()
        connection.execute(delete(refused).where(refused.c.id <= newest_gone))
    return [None for _ in batches]


def _refused_row(id: int, one: NewRefused) -> dict[str, Any]:
    return {
        "id": id,
        "source": one.source,
        "received_at": to_milliseconds(one.received_at),
        "complaint": _storable(one.complaint),
        "event": _storable(one.event[:LONGEST_EVENT]),
    }


def _storable(text: str) -> str:
    """``text`` without what no database takes: half characters and NUL."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")


def refused_events(connection: Connection, limit: int, before: int | None) -> list[Refused]:
    """Events that were not understood, newest first; ``before`` is the last id of the page before."""
    chosen = select(refused).order_by(refused.c.id.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(refused.c.id < before)
    return [
        Refused(row.id, row.source, to_instant(row.received_at), row.complaint, row.event)
        for row in connection.execute(chosen)
    ]
