"""The store: transitions, deliveries and who holds them, behind one class.

Every change is one operation of the writer and answers with a future; every question is asked on a
read-only connection. A store knows the process it was opened in: in a forked child it opens anew.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, TimeoutError
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Protocol, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, select

from gateway.errors import StoreClosedError, StoreError, StoreFullError
from gateway.store import arrivals, nodes, operations, rates, retention, schema
from gateway.store.dialects import lock_schema
from gateway.store.migration import migrate
from gateway.store.operations import ClockReading, Order
from gateway.store.questions import Questions
from gateway.store.rates import Grant, WantSlots
from gateway.store.retention import Expired, Forgotten
from gateway.store.room import Gauge, Room, Upkeep
from gateway.store.rows import (
    Acceptance,
    Accepted,
    Beat,
    Delivery,
    NewRefused,
    Position,
    Record,
    Recorded,
    Want,
    WantExpired,
)
from gateway.store.translation import translated
from gateway.store.writer import Commit, Writer

T = TypeVar("T")

log = logging.getLogger("gateway.store")

LONGEST_BEAT = 5.0
"""Seconds somebody about to send waits for a heartbeat before giving up on it."""


class Database(Protocol):
    """The open files and connections of one process.

    Attributes:
        shares_rates: channels' rates are kept by all its processes together, not by each for itself.
        migrates: who opens it alone brings the tables of an older gateway up to date, unasked.
    """

    shares_rates: bool
    migrates: bool

    @property
    def upkeep(self) -> Upkeep | None:
        """How its files are looked after; ``None`` for a server, which does that itself."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """The writing connection for the length of one transaction."""

    def is_alone(self) -> bool:
        """Whether certainly no other process has the database open. From now on, this one has."""

    def now(self) -> datetime:
        """The time all its processes go by, UTC-aware."""

    def listen(self, heard: Callable[[], object]) -> None:
        """Call ``heard`` from now on when another process leaves something due, if that can be known."""

    def read(self, query: Callable[[Connection], T], seconds: float = ...) -> T:
        """What ``query`` finds in one consistent view, within ``seconds``."""

    def close(self) -> None:
        """Close everything."""


class Session:
    """A store opened in one process: its database, its writer, its place among the nodes."""

    def __init__(
        self,
        database: Database,
        node_ttl: float,
        config_hash: str = "",
        committed: Callable[[Commit], object] | None = None,
    ) -> None:
        self.database = database
        self.config_hash = config_hash
        self._unmatched = 0
        self._counting = threading.Lock()
        self._ttl = node_ttl
        self._watch = nodes.Watch()
        self._watched = time.monotonic()
        self._anew = False
        self.gauge = Gauge(None if database.upkeep is None else database.upkeep.measure)
        self.store_id, self.node = self._joined()
        self._beaten = time.monotonic()
        self._beat_every = node_ttl / (nodes.PATIENCE + 1)
        self.writer = Writer(
            database.transaction,
            lambda: self.node,
            self.beat,
            self._beat_every,
            committed,
            relieve=self.relieve,
            doubted=self._doubt,
        )
        self.writer.start()

    def _joined(self) -> tuple[str, int]:
        """As :meth:`_join`, with the ballast given up for it if need be: a full disk keeps nobody from starting."""
        try:
            with translated():
                return self._join()
        except StoreFullError:
            self.relieve()
            with translated():
                return self._join()

    def _join(self) -> tuple[str, int]:
        """Make the tables if they are not there, and enter this process as a node."""
        with self.database.transaction() as connection:
            lock_schema(connection)
            alone = self.database.is_alone()
            if alone and self.database.migrates:
                migrate(connection)
            schema.prepare(connection, token_hex(4))
            if alone:
                nodes.forget_all(connection)
            store_id = connection.execute(select(schema.about.c.store_id)).scalar_one()
            return store_id, nodes.register(connection, self.config_hash)

    def count_unmatched(self) -> None:
        """Count a transition that is not kept, with the next heartbeat."""
        with self._counting:
            self._unmatched += 1

    def _post_unmatched(self) -> None:
        with self._counting:
            number, self._unmatched = self._unmatched, 0
        if number:
            with suppress(StoreClosedError):
                self.writer.submit(operations.count_unmatched, number, kept=True)

    def beat(self) -> Future[Beat] | None:
        """Ask for a heartbeat. ``None`` when the store is closing."""
        self._post_unmatched()
        asked_at = time.monotonic()
        heartbeat = nodes.Heartbeat(self.config_hash, self._watch.silent(), self._anew)
        with suppress(StoreClosedError):
            beat = self.writer.submit(nodes.beat, heartbeat)
            beat.add_done_callback(lambda done: self._beaten_by(done, asked_at))
            return beat
        return None

    def _beaten_by(self, beat: Future[Beat], asked_at: float) -> None:
        if beat.exception() is None:
            found = beat.result()
            self._watch_others(found, asked_at)
            if not self._anew or found.node != self.node:
                self._anew, self.node, self._beaten = False, found.node, asked_at

    def _watch_others(self, found: Beat, asked_at: float) -> None:
        """Beats out of turn, for somebody who asks whether he may send, say nothing of the others' silence."""
        if asked_at - self._watched >= self._beat_every / 2:
            self._watched = asked_at
            self._watch.saw(found.others)

    def _doubt(self) -> None:
        """What we claimed last may be ours without our knowing: give all of it back, and be another node."""
        self._anew, self._beaten = True, -math.inf

    def seconds_since_beat(self) -> float:
        """How long ago our last heartbeat that is on the disk was asked for."""
        return time.monotonic() - self._beaten

    def is_fresh(self) -> bool:
        """Whether our last heartbeat is so young that nobody can have taken our claims."""
        return self.seconds_since_beat() < self._ttl / 2

    def relieve(self) -> None:
        """Make room, because a change was refused for want of it. Called in the writer's thread."""
        self.gauge.refused()
        if self.database.upkeep is not None:
            self.database.upkeep.relieve()

    def reclaim(self, size: int) -> Future[int]:
        """Give back up to ``size`` empty bytes of the files to the disk; how many stay empty."""
        if self.database.upkeep is None:
            nothing: Future[int] = Future()
            nothing.set_result(0)
            return nothing
        return self.writer.submit(self.database.upkeep.reclaim, size)

    def restock(self) -> bool:
        """Make the ballast whole; whether it is."""
        whole = self.database.upkeep is None or self.database.upkeep.restock()
        self.gauge.changed()
        return whole

    def close(self) -> None:
        """Give back what is claimed, leave the nodes, close."""
        self._post_unmatched()
        with suppress(StoreError, StoreClosedError):
            self.writer.submit(nodes.leave, None)
        self.writer.close()
        self.database.close()


_stores: WeakSet[Store] = WeakSet()
_inherited: list[Session] = []
"""Sessions of a parent process. They are kept for ever: to collect one would close its connections,
and SQLite must not be told that by a process that did not open them."""


class Store(Questions):
    """Where transitions and deliveries are kept. Safe to use from any thread.

    Changes answer with futures, done when the change is on the disk; they fail with
    :class:`~gateway.errors.StoreFullError` or another :class:`~gateway.errors.StoreError`.

    Args:
        open_database: opens the files for the current process.
        node_ttl: seconds another process may be silent before its claims are taken from it.
    """

    def __init__(self, open_database: Callable[[], Database], node_ttl: float) -> None:
        self._open_database, self._node_ttl = open_database, node_ttl
        self._lock = threading.Lock()
        self._closed = False
        self._config_hash = ""
        self._watchers: tuple[Callable[[Commit], object], ...] = ()
        self._heard: Callable[[], object] | None = None
        self._session: Session | None = self._new_session()
        _stores.add(self)

    def _new_session(self) -> Session:
        with translated():
            database = self._open_database()
        try:
            session = Session(database, self._node_ttl, self._config_hash, self._committed)
        except BaseException:
            database.close()
            raise
        self._now, self._shares_rates = database.now, database.shares_rates
        if self._heard is not None:
            database.listen(self._heard)
        return session

    def _current(self) -> Session:
        return self._session or self._reopened()

    def _reopened(self) -> Session:
        with self._lock:
            if self._closed:
                raise StoreClosedError("the store is closed")
            if self._session is None:
                self._session = self._new_session()
            return self._session

    def forget_inherited(self) -> None:
        """In a forked child: the parent's threads and connections are not ours. Open anew when next used."""
        if self._session is not None:
            _inherited.append(self._session)
        self._session = None
        self._lock = threading.Lock()  # a thread that is not here may have held the old one

    @property
    def id(self) -> str:
        """The store's own name, the same for all who open it."""
        return self._current().store_id

    @property
    def node(self) -> int:
        """The id this process claims under. It changes when the others had given us up, and in a forked child."""
        return self._current().node

    @property
    def shares_rates(self) -> bool:
        """Whether a channel's rate is kept by all nodes together; see :meth:`ask_for_slots`."""
        return self._shares_rates

    def now(self) -> datetime:
        """The time all processes on the store go by, UTC-aware: the host's clock, or the database's."""
        return self._now()

    def on_due(self, heard: Callable[[], object]) -> None:
        """Call ``heard`` from now on when another process leaves something due, where that can be known.

        A hint that may come for nothing, and may not come: whoever must know looks every second or so.
        """
        self._heard = heard
        self._current().database.listen(heard)

    def holds(self, delivery: Delivery) -> bool:
        """Whether ``delivery`` is certainly still ours, so that we may send it.

        After a long stop of this process (a suspended machine, a debugger) others may have taken
        our claims; a heartbeat is made to find out.
        """
        session = self._current()
        if not session.is_fresh():
            self._beat_now(session)
        return delivery.owner == session.node and session.is_fresh()

    def _beat_now(self, session: Session) -> None:
        beat = session.beat()
        if beat is not None:
            with suppress(StoreError, TimeoutError):
                beat.result(LONGEST_BEAT)

    def announce(self, config_hash: str) -> None:
        """Tell the other nodes which configuration runs here. Does not wait."""
        self._config_hash = config_hash
        session = self._current()
        if session.config_hash != config_hash:
            session.config_hash = config_hash
            session.beat()

    def on_commit(self, told: Callable[[Commit], object]) -> None:
        """Tell ``told`` of every transaction of this process from now on; it must be quick. Who raises is let go."""
        self._watchers = (*self._watchers, told)

    def _committed(self, commit: Commit) -> None:
        for told in self._watchers:
            try:
                told(commit)
            except Exception:  # this is the writer's thread, without which nothing is kept
                log.exception("who is told of commits failed, and is told no more")
                self._watchers = tuple(one for one in self._watchers if one is not told)

    @property
    def waiting(self) -> int:
        """How many changes are queued for the writer."""
        return self._current().writer.waiting

    def seconds_since_beat(self) -> float:
        """How long ago this process last wrote to the store for sure: a healthy one does every few seconds."""
        return self._current().seconds_since_beat()

    # changes

    def accept(self, acceptance: Acceptance) -> Future[Accepted]:
        """Keep a transition and its deliveries, all or nothing."""
        return self._current().writer.submit(operations.accept, acceptance)

    def accept_all(self, acceptances: Sequence[Acceptance]) -> Future[tuple[Accepted, ...]]:
        """Keep several transitions in one transaction; each is new or a repeat on its own."""
        return self._current().writer.submit(operations.accept_all, acceptances)

    def count_unmatched(self) -> None:
        """Count a transition that matched no handler and is not kept. Costs next to nothing.

        The count is written with the next heartbeat: a crash loses that of some seconds.
        """
        session = self._session
        if session is not None:
            session.count_unmatched()

    def advance(self, position: Position) -> Future[None]:
        """Note up to which occurrence a source was read; never back."""
        return self._current().writer.submit(arrivals.advance, position)

    def refuse(self, events: Sequence[NewRefused]) -> Future[None]:
        """Keep events that were not understood, for somebody to look at."""
        return self._current().writer.submit(arrivals.refuse, events)

    def claim(self, channel: str, limit: int, now: datetime) -> Future[tuple[Delivery, ...]]:
        """Take up to ``limit`` deliveries of ``channel`` that are due, those due first first."""
        return self._current().writer.submit(operations.claim, Want(channel, limit, now))

    def claim_expired(self, wanted: WantExpired) -> Future[tuple[Delivery, ...]]:
        """Take deliveries that have waited too long, for their end to be recorded."""
        return self._current().writer.submit(operations.claim_expired, wanted)

    def record(self, record: Record) -> Future[Recorded]:
        """Write down what became of a delivery this node holds.

        Never refused for want of room: it is kept in memory and tried again until the store is closed.
        """
        return self._current().writer.submit(operations.record, record, kept=True)

    def release(self) -> Future[int]:
        """Give back everything this node has claimed; how many that were."""
        return self._current().writer.submit(operations.release, None)

    def retry(self, delivery_id: int, now: datetime) -> Future[bool]:
        """Owe a pending, dead or cancelled delivery again, due now; ``False`` if it is none of these."""
        return self._current().writer.submit(operations.retry, Order(delivery_id, now))

    def cancel(self, delivery_id: int, now: datetime) -> Future[bool]:
        """End a pending delivery; ``False`` if it is not pending."""
        return self._current().writer.submit(operations.cancel, Order(delivery_id, now))

    def drop(self, delivery_id: int, now: datetime) -> Future[bool]:
        """Take a dead letter out of the way: it is cancelled; ``False`` if it is not dead."""
        return self._current().writer.submit(operations.drop, Order(delivery_id, now))

    def ask_for_slots(self, want: WantSlots) -> Future[Grant]:
        """Ask for a part of a rate that all nodes keep together."""
        return self._current().writer.submit(rates.grant, want)

    def follow_clock(self, reading: ClockReading) -> Future[timedelta]:
        """Move what is owed if the wall clock was set; see :func:`gateway.store.operations.follow_clock`."""
        return self._current().writer.submit(operations.follow_clock, reading)

    def forget(self, expired: Expired) -> Future[Forgotten]:
        """Delete some of what was kept long enough; see :func:`gateway.store.retention.forget`."""
        return self._current().writer.submit(retention.forget, expired)

    def reclaim(self, size: int) -> Future[int]:
        """Give back up to ``size`` empty bytes of the files to the disk; how many stay empty in them."""
        return self._current().reclaim(size)

    # room

    def room(self) -> Room:
        """How much room there is. Cheap: the disk is looked at ten times a second at most, and nobody is waited for."""
        return self._current().gauge.room()

    def restock(self) -> bool:
        """Make the ballast whole, the room that is set aside for when the disk is full; whether it is."""
        return self._current().restock()

    def ask(self, query: Callable[[Connection], T]) -> T:
        """What ``query`` finds, on a read-only connection."""
        return self._current().database.read(query)

    def close(self) -> None:
        """Write what is queued, give back what is claimed, close. Safe to call twice."""
        with self._lock:
            session, self._session, self._closed = self._session, None, True
        if session is not None:
            session.close()


def _forget_inherited() -> None:
    for store in list(_stores):
        store.forget_inherited()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)
