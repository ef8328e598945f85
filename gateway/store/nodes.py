"""Nodes: the gateway processes on one store. Claims belong to a node and return when it is gone.

A node beats by raising its count. Whoever sees another's count stand still over several beats of
its own removes it. No clock is compared, so a step of the wall clock or a stop of the whole
machine gives nobody up.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, insert, null, select, update

from gateway.store.dialects import SHARDS, is_shared, milliseconds_now, next_ids, note_due, shard_of
from gateway.store.rows import Beat
from gateway.store.schema import IS_CLAIMED, about, delivery, node

PATIENCE = 3
"""How many of our own beats another's count may stand still for; it is removed at the next."""

LATELY_MILLISECONDS = 10_000


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a beat writes.

    Attributes:
        config_hash: which configuration runs here.
        silent: (id, count) of the nodes found silent.
        anew: give back everything claimed and go on under another id.
    """

    config_hash: str
    silent: tuple[tuple[int, int], ...] = ()
    anew: bool = False


_BEAT = (
    update(node)
    .where(node.c.id == bindparam("me"))
    .values(beats=node.c.beats + 1, heartbeat_at=milliseconds_now(), config_hash=bindparam("hash"))
)
# Nobody waits here for another node: whose row is locked is alive, and who locks a claim returns it himself.
_SILENT = (
    select(node.c.id)
    .where(node.c.id == bindparam("silent"), node.c.beats == bindparam("count"))
    .with_for_update(skip_locked=True)
)
_REMOVE_SILENT = delete(node).where(node.c.id.in_(select(_SILENT.cte("silent_node").c.id)))
_LOST = (
    select(delivery.c.id)
    .where(IS_CLAIMED, delivery.c.owner.not_in(select(node.c.id)))
    .with_for_update(skip_locked=True)
    .cte("lost")
)
_RETURN_CLAIMS = (
    update(delivery)
    .where(delivery.c.id.in_(select(_LOST.c.id)))
    .values(status="pending", owner=null(), reason="node_lost")
)


def register(connection: Connection, config_hash: str = "") -> int:
    """Enter this process as a node and return its id."""
    me, now = _free_id(connection), milliseconds_now()
    entry = {"id": me, "pid": os.getpid(), "started_at": now, "heartbeat_at": now, "beats": 0}
    connection.execute(insert(node).values(config_hash=config_hash, **entry))
    return me


def _free_id(connection: Connection) -> int:
    """A new id, whose shard no other node uses if that can be: then no node waits for another's counts."""
    if not is_shared(connection):
        return next_ids(connection, 1)[0]
    used = {shard_of(connection, other) for other in connection.execute(select(node.c.id)).scalars()}
    ids = {shard_of(connection, id): id for id in next_ids(connection, SHARDS)}
    return ids[min(ids, key=lambda shard: (shard in used, shard))]


def forget_all(connection: Connection) -> None:
    """Remove every node, when none of their processes can be alive; what they had claimed is pending again."""
    connection.execute(delete(node))
    connection.execute(update(about).values(clock_offset=null()))
    return_claims(connection)


def return_claims(connection: Connection) -> None:
    """Make pending what is claimed by nodes that are no longer there."""
    if connection.execute(_RETURN_CLAIMS).rowcount:
        note_due(connection)


def leave(connection: Connection, me: int, arguments: Sequence[None]) -> list[None]:
    """Remove this node; what it still had claimed is pending again."""
    connection.execute(delete(node).where(node.c.id == me))
    return_claims(connection)
    return list(arguments)


def beat(connection: Connection, me: int, heartbeats: Sequence[Heartbeat]) -> list[Beat]:
    """Say that we live, remove who has fallen silent, and enter anew under another id if we were removed."""
    heartbeat = heartbeats[-1]
    if any(one.anew for one in heartbeats):
        connection.execute(delete(node).where(node.c.id == me))
    if connection.execute(_BEAT, {"me": me, "hash": heartbeat.config_hash}).rowcount == 0:
        me = register(connection, heartbeat.config_hash)
    for other, beats in heartbeat.silent:
        connection.execute(_REMOVE_SILENT, {"silent": other, "count": beats})
    return_claims(connection)
    others = connection.execute(select(node.c.id, node.c.beats).where(node.c.id != me))
    found = Beat(me, {row.id: row.beats for row in others})
    return [found for _ in heartbeats]


def nodes_at_work(connection: Connection) -> int:
    """How many nodes have said lately, by the database's clock, that they live; for who is no node itself."""
    since = milliseconds_now() - LATELY_MILLISECONDS
    return connection.execute(select(func.count()).select_from(node).where(node.c.heartbeat_at > since)).scalar_one()


class Watch:
    """Over how many of our beats the others' counts have stood still."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, int]] = {}

    def saw(self, others: dict[int, int]) -> None:
        """Note the counts that a committed beat of ours found."""
        self._seen = {id: (beats, self._still(id, beats)) for id, beats in others.items()}

    def _still(self, id: int, beats: int) -> int:
        before, still = self._seen.get(id, (beats, -1))
        return still + 1 if before == beats else 0

    def silent(self) -> tuple[tuple[int, int], ...]:
        """Who has been silent too long, with the count that stood still."""
        return tuple((id, beats) for id, (beats, still) in self._seen.items() if still >= PATIENCE)
