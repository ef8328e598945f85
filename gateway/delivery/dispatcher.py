"""Dispatcher: sends what was accepted, from memory or from the store, and records what became of it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from weakref import WeakSet

from gateway.channels.base import Outcome
from gateway.delivery.clock import Clock, StoreClock
from gateway.delivery.lane import ChannelRuntime, Lane, LaneReport
from gateway.delivery.notice import Notice, Notify, dead_letter, nobody
from gateway.delivery.observers import Observers, Settled
from gateway.delivery.settlement import give_up, postpone
from gateway.errors import StoreClosedError, StoreError
from gateway.store.instants import EPOCH
from gateway.store.operations import SMALLEST_STEP, ClockReading
from gateway.store.rates import Grant, WantSlots
from gateway.store.rows import Delivery, NewDelivery, Record, Recorded, WantExpired
from gateway.store.store import Store

log = logging.getLogger("gateway.delivery")

LONGEST_LOOK = 60.0
"""Seconds between looks after which something must be wrong."""

LOOK_EVERY = 1.0
"""Seconds between looks into the store when nothing is known to become due earlier: other processes write there too."""

LONGEST_RECORD = 30.0
"""Seconds somebody waits for an outcome to be on the disk."""

ORPHAN_GRACE = timedelta(hours=1)
"""What belongs to a channel this gateway does not have is given up this much later than its time."""

EXPIRED_AT_ONCE = 200
DRAIN_PAUSE = 0.05
SHORTEST_GOODBYE = 1.0
"""Seconds a look in progress may take at the end, whatever the grace: cut short, it leaves a connection open."""

DAY = 86_400.0
NOW_LOOKING = datetime.max.replace(tzinfo=UTC)
"""In place of the time of the next look while there is one: what becomes due meanwhile may have been missed by it."""


class Dispatcher:
    """Sends deliveries through channels, each at its own pace.

    Args:
        store: where deliveries are claimed and recorded.
        channels: the channels by name; see :meth:`swap`.
        clock: tells the time, the store's unless given; it must be the one the outbox has.
        random: jitter for retries.
        notify: told of dead letters and of channels that are parked, open again or hang.
        observers: told what becomes of each delivery.

    New deliveries come through :meth:`hand_over`; retries, what was too much for the memory, and
    what others left behind is claimed from the store when due. The dispatcher closes the channels
    it lets go of.
    """

    def __init__(
        self,
        store: Store,
        channels: Mapping[str, ChannelRuntime],
        clock: Clock | None = None,
        random: Random | None = None,
        notify: Notify = nobody,
        observers: Observers | None = None,
    ) -> None:
        self._store, self._clock, self._random = store, clock or StoreClock(store), random or Random()
        self._notify = notify
        self._observers = Observers() if observers is None else observers
        self._started = self._closed = False
        self._lanes: Mapping[str, Lane] = {}
        self._begin_anew(channels)
        _dispatchers.add(self)

    def _begin_anew(self, channels: Mapping[str, ChannelRuntime]) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._looks_at, self._cannot_look = NOW_LOOKING, False
        self._looked = time.monotonic()
        self._looking = threading.Lock()
        self._on_their_way_back: set[Future[Recorded]] = set()
        self._clock_offset: timedelta | None = None
        self._clock_read_at = self._clock.monotonic()
        self._lanes = {name: self._lane(runtime) for name, runtime in channels.items()}
        self._retired: list[Lane] = []

    def _lane(self, runtime: ChannelRuntime) -> Lane:
        return Lane(runtime, self, self._clock, self._random)

    def forget_inherited(self) -> None:
        """In a forked child: what is in memory and in progress is the parent's. Work begins with the next delivery."""
        self._begin_anew({name: lane.runtime for name, lane in self._lanes.items()})

    # coming and going

    def start(self) -> None:
        """Begin to look for due deliveries."""
        self._started = True
        self._store.on_due(self.look)
        self._ensure_looking()

    def _ensure_looking(self) -> None:
        """Start the thread that looks, unless it runs; after a fork it does not."""
        if self._thread is not None or not self._started or self._closed:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="gateway-dispatcher", daemon=True)
                self._thread.start()

    def has_room(self, channel: str) -> bool:
        """Whether a new delivery to ``channel`` would be sent soon if it were handed over now."""
        self._ensure_looking()
        lane = self._lanes.get(channel)
        return self._started and not self._closed and lane is not None and not lane.behind and lane.room() > 0

    def hand_over(self, deliveries: Iterable[Delivery]) -> None:
        """Send ``deliveries``, which this node has claimed. Returns at once."""
        by_channel: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            by_channel.setdefault(delivery.channel, []).append(delivery)
        for channel, together in by_channel.items():
            self._offer(channel, together)

    def _offer(self, channel: str, deliveries: Sequence[Delivery]) -> None:
        while (lane := self._lanes.get(channel)) is not None and not self._closed:
            if lane.offer(deliveries):
                return
        self._put_back(deliveries, "closing" if self._closed else "channel_removed")

    def _put_back(self, deliveries: Sequence[Delivery], reason: str) -> None:
        now = self._clock.now()
        self.postpone([postpone(delivery, reason, now, now) for delivery in deliveries])

    def deliver_now(self, delivery: Delivery) -> Outcome:
        """Deliver a required delivery in the calling thread: one attempt, then one through its fallback channel.

        Whatever becomes of it is recorded; if it is not delivered it is dead, and never sent later
        behind the back of whoever was told that it failed.

        Raises:
            StoreError: the outcome could not be recorded.
        """
        lane = self._lanes.get(delivery.channel)
        if lane is None:
            self.record(give_up(delivery, "channel_removed", None, self._clock.now()))
            return Outcome("permanent", "channel_removed", "there is no such channel any more")
        outcome, recorded = lane.deliver_now(delivery)
        return outcome if recorded.fallback is None else self.deliver_now(recorded.fallback)

    def swap(self, channels: Mapping[str, ChannelRuntime]) -> None:
        """Go on with ``channels``.

        A channel that is the same object keeps its queue, breaker and place in its rate. Attempts in
        progress end on the channel they began with. Deliveries to a channel that is gone stay owed,
        because the next edit may bring it back, until their time to be given up.
        """
        with self._lock:
            before, after = self._lanes, {}
            for name, runtime in channels.items():
                known = before.get(name)
                if known is not None and known.runtime.channel is runtime.channel:
                    known.adopt(runtime)
                    after[name] = known
                else:
                    after[name] = self._lane(runtime)
            gone = [lane for name, lane in before.items() if after.get(name) is not lane]
            self._retired = [lane for lane in self._retired if not lane.is_quiet()] + gone
            self._lanes = after
        for lane in gone:
            if queued := lane.retire():
                self._offer(lane.name, queued)
        self.look()

    def reports(self) -> Mapping[str, LaneReport]:
        """How each channel stands."""
        return {name: lane.report() for name, lane in self._lanes.items()}

    def is_alive(self) -> bool:
        """Whether the thread that looks for due deliveries is at work, and not held up by the store for long."""
        thread = self._thread
        return thread is not None and thread.is_alive() and time.monotonic() - self._looked < LONGEST_LOOK

    def drain(self, timeout: float) -> int:
        """Wait up to ``timeout`` seconds for what can be sent in that time; how many deliveries are still owed then."""
        deadline = time.monotonic() + timeout
        self.look()
        while time.monotonic() < deadline and self._has_work_before(deadline):
            if not self._serve_unstaffed():
                time.sleep(DRAIN_PAUSE)
        return self._store.owed()

    def _serve_unstaffed(self) -> bool:
        served = [lane.serve_one() for lane in self._lanes.values() if lane.is_unstaffed()]
        return any(served)

    def _has_work_before(self, deadline: float) -> bool:
        left = max(0.0, deadline - time.monotonic())
        if not self._looking.acquire(timeout=left):
            return True
        try:  # while nobody looks, a delivery is either in a lane, or on its way to the store, or due in there
            busy = not all(lane.is_quiet() for lane in self._all_lanes())
            return busy or bool(self._on_their_way_back) or self._has_due_within(left)
        finally:
            self._looking.release()

    def _all_lanes(self) -> list[Lane]:
        return [*self._lanes.values(), *self._retired]

    def _has_due_within(self, left: float) -> bool:
        horizon = self._clock.now() + timedelta(seconds=left)
        return any(
            due_at <= horizon and (lane := self._lanes.get(channel)) is not None and lane.opens_in() <= left
            for channel, due_at in self._store.next_due().items()
        )

    def close(self, grace: float = 5.0) -> int:
        """Finish attempts in progress within ``grace`` seconds, give the rest back to the store; how many that were.

        The channels are closed; the store is not. Safe to call twice.
        """
        if self._closed:
            return 0
        self._closed = True
        deadline = time.monotonic() + grace
        self._wake.set()
        for lane in self._lanes.values():
            lane.retire()
        for lane in self._all_lanes():
            if not lane.wait_quiet(deadline):
                log.warning("attempts were still in progress at the end", extra={"channel": lane.name})
        if self._thread is not None:
            self._thread.join(max(SHORTEST_GOODBYE, deadline - time.monotonic()))
        return self._released()

    def _released(self) -> int:
        """Give back what is claimed; how many that were. What a store refuses returns once this process is missed."""
        try:
            return self._store.release().result()
        except StoreError as error:
            log.warning("claims could not be given back at the end", extra={"error": str(error)})
            return 0

    # the desk of the lanes

    @property
    def shares_rates(self) -> bool:
        """Whether a channel's rate is kept by all processes on the store together."""
        return self._store.shares_rates

    def ask_for_slots(self, want: WantSlots) -> Future[Grant]:
        """Ask the store for a part of a rate that is shared. Does not wait."""
        return self._store.ask_for_slots(want)

    def holds(self, delivery: Delivery) -> bool:
        """Whether ``delivery`` is certainly still this process's to send."""
        return self._store.holds(delivery)

    def let_go(self, delivery: Delivery) -> None:
        """Leave ``delivery``, which is not certainly ours, to whoever owns it, or claims it next.

        While the store is silent nobody can say whose it is. If it is ours then, no other gives it back.
        """
        if delivery.owner == self._store.node:
            self._put_back([delivery], "store_silent")
        else:
            log.info("a claim was lost and the delivery left to its new owner", extra={"delivery_id": delivery.id})

    def key_of(self, delivery: Delivery) -> str:
        """The idempotency key of all attempts of ``delivery``."""
        return f"{self._store.id}-{delivery.id}"

    def fallback_for(self, delivery: Delivery, runtime: ChannelRuntime) -> NewDelivery | None:
        """What is sent instead of ``delivery`` once it is given up. A fallback has no fallback of its own."""
        lane = None if runtime.fallback is None else self._lanes.get(runtime.fallback)
        if lane is None or delivery.fallback_of is not None:
            return None
        return NewDelivery(
            handler=delivery.handler,
            channel=lane.name,
            title=delivery.title,
            body=delivery.body,
            format=delivery.format,
            severity=delivery.severity,
            give_up_after=lane.runtime.retry.give_up,
            claimed=True,
            required=delivery.required,
        )

    def record(self, record: Record) -> Recorded:
        """Write ``record``; returns when it is on the disk, or when that takes too long for somebody to wait.

        It is written then all the same, as soon as the store takes it.
        """
        written = self._store.record(record)
        try:
            recorded = written.result(LONGEST_RECORD)
        except TimeoutError:
            written.add_done_callback(lambda done: self._recorded(record, done))
            return Recorded(kept=True)
        self._follow(record, recorded)
        return recorded

    def record_soon(self, record: Record) -> Future[Recorded]:
        """Write ``record`` without waiting for the disk; once it is there, go on with what takes over."""
        written = self._store.record(record)
        written.add_done_callback(lambda done: self._recorded(record, done))
        return written

    def _recorded(self, record: Record, done: Future[Recorded]) -> None:
        if done.exception() is None:
            self._go_on(record, done.result())

    def _go_on(self, record: Record, recorded: Recorded) -> None:
        self._follow(record, recorded)
        if recorded.fallback is not None:
            self.hand_over([recorded.fallback])

    def _follow(self, record: Record, recorded: Recorded) -> None:
        """What is to be done once ``record`` is on the disk. Must not wait: the writer's own thread may do it."""
        if not recorded.kept:
            log.warning("a record came too late", extra={"delivery_id": record.delivery.id, "status": record.status})
        if self._observers:
            self._observers.tell(Settled(record, recorded.kept))
        if record.status == "pending":
            self._look_by(record.due_at)
        if record.status == "dead" and recorded.kept and not record.delivery.required:
            self.notify(dead_letter(record))

    def notify(self, notice: Notice) -> None:
        """Tell the operators."""
        self._notify(notice)

    def postpone(self, records: Sequence[Record]) -> None:
        """Write ``records`` without waiting for the disk."""
        with suppress(StoreClosedError):  # its last act was to give back all claims
            for record in records:
                written = self._store.record(record)
                self._on_their_way_back.add(written)
                written.add_done_callback(self._on_their_way_back.discard)
                self._look_by(record.due_at)

    def look(self) -> None:
        """Look for due deliveries now."""
        self._wake.set()

    def _look_by(self, due_at: datetime) -> None:
        if due_at < self._looks_at:
            self._wake.set()

    # looking into the store

    def _run(self) -> None:
        while not self._closed:
            self._wake.clear()
            pause = self._look_safely()
            self._looked = time.monotonic()
            if not self._closed:
                self._wake.wait(pause)

    def _look_safely(self) -> float:
        try:
            with self._looking:
                pause = self._look()
        except StoreClosedError:
            return DAY
        except StoreError as error:
            level = logging.DEBUG if self._cannot_look else logging.WARNING  # once, not every second of an hour
            self._cannot_look = True
            log.log(level, "could not look for due deliveries", extra={"error": str(error)})
        except Exception:  # this thread is what brings retries and claims: it must outlive any mistake in here
            log.exception("looking for due deliveries failed")
        else:
            if self._cannot_look:
                self._cannot_look = False
                log.warning("due deliveries are looked for again")
            return pause
        return LOOK_EVERY

    def _look(self) -> float:
        """Claim what is due and fits; returns the seconds until it is worth looking again."""
        self._looks_at, now = NOW_LOOKING, self._clock.now()
        for lane in self._all_lanes():
            lane.give_up_stuck()
        self._follow_clock(now)
        self._end_expired(now)
        due = self._store.next_due()
        for name, lane in self._lanes.items():
            lane.behind = name in due and due[name] <= now
        pause = 0.0 if self._claim_due(now) else min([LOOK_EVERY, *self._pauses(due, now)])
        self._looks_at = now + timedelta(seconds=pause)
        return pause

    def _claim_due(self, now: datetime) -> bool:
        """Fill the lanes that are behind; whether anything was claimed."""
        wanted = [(lane, lane.room()) for lane in self._lanes.values() if lane.behind]
        asked = [(lane.name, self._store.claim(lane.name, room, now)) for lane, room in wanted if room]
        for name, answer in asked:
            if answer.exception() is None:  # what one lane was given must not be lost because another was refused
                self._offer(name, answer.result())
        return any(answer.result() for _, answer in asked)

    def _pauses(self, due: Mapping[str, datetime], now: datetime) -> Iterable[float]:
        for name, lane in self._lanes.items():
            if lane.behind:  # one whose queue is full asks for more itself
                yield 0.0 if lane.room() else lane.opens_in() or LOOK_EVERY
            elif name in due:
                yield (due[name] - now).total_seconds()

    def _end_expired(self, now: datetime) -> None:
        first = self._store.next_give_up()
        if first is None or first > now:
            return
        wanted = WantExpired(tuple(self._lanes), now, ORPHAN_GRACE, EXPIRED_AT_ONCE)
        records = [self._given_up(delivery, now) for delivery in self._store.claim_expired(wanted).result()]
        written = [self._store.record(record) for record in records]  # all of them before the first is waited for
        for record, done in zip(records, written, strict=True):
            self._go_on(record, done.result())

    def _given_up(self, delivery: Delivery, now: datetime) -> Record:
        lane = self._lanes.get(delivery.channel)
        if lane is None:
            return give_up(delivery, "channel_removed", None, now)
        return give_up(delivery, "give_up", self.fallback_for(delivery, lane.runtime), now)

    def _follow_clock(self, now: datetime) -> None:
        """Notice when the wall clock was set, and have what waits follow it."""
        read_at = self._clock.monotonic()
        offset = now - EPOCH - timedelta(seconds=read_at)
        if self._clock_offset is not None and abs(offset - self._clock_offset) <= SMALLEST_STEP:
            self._clock_read_at = read_at
            return
        since = now - timedelta(seconds=read_at - self._clock_read_at)
        step = self._store.follow_clock(ClockReading(offset, now, since)).result()
        self._clock_offset, self._clock_read_at = offset, read_at
        if step:
            log.warning("the wall clock was set", extra={"seconds": step.total_seconds()})


_dispatchers: WeakSet[Dispatcher] = WeakSet()


def _forget_inherited() -> None:
    for dispatcher in list(_dispatchers):
        dispatcher.forget_inherited()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)
