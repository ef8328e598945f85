"""Lane: one channel at work. Its queue in memory, its workers, its rate limiter, its breaker.

Lanes share nothing, so a slow or dead channel delays no other. What a lane may not send soon goes
back to wait in the store.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Protocol

from gateway.channels.base import Channel, Message, Outcome
from gateway.config.models import RetryConfig
from gateway.config.rate import Rate
from gateway.delivery.breaker import Breaker, BreakerPolicy, BreakerState
from gateway.delivery.clock import Clock
from gateway.delivery.notice import Notice, opened, parked, stuck
from gateway.delivery.rate import Limiter, RateLimiter, SharedLimiter
from gateway.delivery.settlement import Terms, give_up, postpone, settle
from gateway.errors import StoreError
from gateway.store.rates import Grant, WantSlots
from gateway.store.rows import Attempt, Delivery, NewDelivery, Record, Recorded

log = logging.getLogger("gateway.delivery")

LARGEST_QUEUE = 200
"""Deliveries a lane holds in memory; more wait in the store."""

IDLE_SECONDS = 5.0
"""A worker without work ends after this."""

SHORT_WAIT = 0.25
"""Seconds a worker waits for the rate limiter itself; for longer, deliveries go back to the store."""

STUCK = "stuck"
"""The reason of an attempt the plugin never returned from."""

MOST_STUCK = 8
"""Attempts a plugin may hang in at a time. A thread cannot be ended: with so many, the channel gets no more."""

STUCK_PAUSE = 60.0
"""Seconds after which somebody who waits for a hanging plugin looks again."""


@dataclass(frozen=True, slots=True)
class ChannelRuntime:
    """A channel and how it is to be used.

    Attributes:
        channel: what sends.
        timeout: seconds one attempt may take.
        rate: the most messages in a stretch of time.
        retry: how often and how long a delivery is tried.
        fallback: the channel a delivery goes to when this one has given up.
        breaker: when the channel is parked.
        grace: seconds beyond ``timeout`` after which an attempt that has not ended is given up as stuck.
    """

    channel: Channel
    timeout: float = 30.0
    rate: Rate | None = None
    retry: RetryConfig = field(default_factory=RetryConfig)
    fallback: str | None = None
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    grace: float = 10.0


@dataclass(frozen=True, slots=True)
class LaneReport:
    """How a channel stands right now.

    Attributes:
        queued: deliveries in memory.
        sending: attempts in progress.
        overdue: those of them that have taken longer than the channel's timeout.
        stuck: attempts given up because the plugin did not return; each still holds a thread.
        breaker: whether the channel is parked.
        reason: what parked it.
    """

    queued: int
    sending: int
    overdue: int
    stuck: int
    breaker: BreakerState
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Sending:
    """An attempt in progress.

    Attributes:
        delivery: of what.
        began: when its turn came (``time.monotonic``).
        hired: a worker makes it, not a thread that does so once.
        is_awaited: somebody waits for its outcome, and looks at the time.
    """

    delivery: Delivery
    began: float
    hired: bool = False
    is_awaited: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """The channel was asked at ``at``, by the clock on the wall, and at ``began`` (``time.monotonic``)."""

    at: datetime
    began: float


class Desk(Protocol):
    """What lanes ask of their dispatcher."""

    @property
    def shares_rates(self) -> bool:
        """Whether a channel's rate is kept by several processes together."""

    def ask_for_slots(self, want: WantSlots) -> Future[Grant]:
        """Ask the store for a part of a rate that is shared. Does not wait."""

    def holds(self, delivery: Delivery) -> bool:
        """Whether ``delivery`` is certainly still this process's to send."""

    def let_go(self, delivery: Delivery) -> None:
        """Leave ``delivery``, which is not certainly ours, to whoever owns it, or claims it next."""

    def key_of(self, delivery: Delivery) -> str:
        """The idempotency key of all attempts of ``delivery``."""

    def fallback_for(self, delivery: Delivery, runtime: ChannelRuntime) -> NewDelivery | None:
        """What is sent instead of ``delivery`` once it is given up."""

    def hand_over(self, deliveries: Sequence[Delivery]) -> None:
        """Send ``deliveries``, which this node has claimed."""

    def record(self, record: Record) -> Recorded:
        """Write ``record``; returns when it is on the disk."""

    def record_soon(self, record: Record) -> Future[Recorded]:
        """Write ``record`` without waiting for the disk; once it is there, go on with what takes over."""

    def postpone(self, records: Sequence[Record]) -> None:
        """Write ``records`` without waiting for the disk."""

    def look(self) -> None:
        """Look for due deliveries now."""

    def notify(self, notice: Notice) -> None:
        """Tell the operators."""


class Lane:
    """One channel's queue and up to ``width`` workers, which are started when there is work."""

    def __init__(self, runtime: ChannelRuntime, desk: Desk, clock: Clock, random: Random) -> None:
        self.runtime = runtime
        self.behind = False
        """More of this channel's deliveries are due in the store than fit in here."""
        self._desk, self._clock, self._random = desk, clock, random
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._arrived = threading.Condition(lock)  # for those who wait for work alone: one is woken for each delivery
        self._queue: deque[Delivery] = deque()
        self._limiter = self._limiter_for(runtime.rate)
        self._breaker = Breaker(runtime.breaker)
        self._workers = self._idle = 0
        self._sending: set[Sending] = set()
        self._unrecorded = 0
        """Attempts whose outcome is on its way to the disk: with those in progress, what a crash would send again."""
        self._asked: dict[Sending, Asked] = {}
        self._stuck: set[Sending] = set()
        self._retired = False

    @property
    def name(self) -> str:
        """The channel's."""
        return self.runtime.channel.name

    def report(self) -> LaneReport:
        """How the channel stands."""
        late = time.monotonic() - self.runtime.timeout - 1
        with self._changed:
            overdue = sum(sending.began < late for sending in self._sending)
            state, reason = self._breaker.state, self._breaker.reason
            if self._is_jammed():
                state, reason = "open", STUCK
            return LaneReport(len(self._queue), len(self._sending), overdue, len(self._stuck), state, reason)

    # what may come in

    def room(self) -> int:
        """How many more deliveries would be sent soon."""
        now = self._clock.monotonic()
        with self._changed:
            if self._retired or self._is_jammed() or not self._breaker.permits(now):
                return 0
            most = LARGEST_QUEUE if self._breaker.state == "closed" else 1
            return max(0, min(most, self._limiter.available(now)) - len(self._queue))

    def opens_in(self) -> float:
        """Seconds after which :meth:`room` is worth asking again; 0 when now."""
        now = self._clock.monotonic()
        with self._changed:
            return max(self._parked_for(now), self._limiter.wait(now))

    def _parked_for(self, now: float) -> float:
        """Seconds until the channel may be asked again as far as its health goes; 0 when now. The lock is held."""
        return max(self._breaker.wait(now), STUCK_PAUSE if self._is_jammed() else 0.0)

    def _is_jammed(self) -> bool:
        return len(self._stuck) >= MOST_STUCK

    def offer(self, deliveries: Sequence[Delivery]) -> bool:
        """Queue ``deliveries``; ``False`` if the lane is retired and took none."""
        with self._changed:
            if self._retired:
                return False
            self._queue.extend(deliveries)
            self._staff()
            self._arrived.notify(len(deliveries))
        return True

    def adopt(self, runtime: ChannelRuntime) -> None:
        """Go on with other settings of the same channel."""
        with self._changed:
            if runtime.rate != self.runtime.rate:
                self._limit(runtime.rate)
            self.runtime = runtime

    def _limit(self, rate: Rate | None) -> None:
        """Keep to another rate; what went, and what the service asked for, still count."""
        if isinstance(self._limiter, RateLimiter) and (rate is None or not self._desk.shares_rates):
            self._limiter.rate = rate
            return
        held_until = self._limiter.held_until
        self._limiter = self._limiter_for(rate)
        self._limiter.hold_until(held_until)

    def _limiter_for(self, rate: Rate | None) -> Limiter:
        if rate is None or not self._desk.shares_rates:
            return RateLimiter(rate)
        return SharedLimiter(self.name, rate, self._ask_for_slots)

    def _ask_for_slots(self, limiter: SharedLimiter, want: WantSlots) -> None:
        """Have the store asked. The lock is held, so nobody waits here: the answer comes in another thread."""
        try:
            answer = self._desk.ask_for_slots(want)
        except StoreError:  # it is closed, and what is queued stays owed
            limiter.hear(None, self._clock.monotonic())
            return
        answer.add_done_callback(lambda done: self._hear_of_slots(limiter, done))

    def _hear_of_slots(self, limiter: SharedLimiter, answer: Future[Grant]) -> None:
        grant = None if answer.cancelled() or answer.exception() is not None else answer.result()
        with self._changed:
            limiter.hear(grant, self._clock.monotonic())
            self._changed.notify_all()

    def is_quiet(self) -> bool:
        """Whether nothing is queued, being sent, or sent and not written down."""
        with self._changed:
            return not self._queue and not self._is_at_work()

    def is_unstaffed(self) -> bool:
        """Whether something is queued and no worker is there to send it."""
        with self._changed:
            return bool(self._queue) and not self._workers

    def retire(self) -> list[Delivery]:
        """Take nothing more, and hand out what is queued. The channel is closed when its last attempt has ended."""
        with self._changed:
            self._retired = True
            queued = list(self._queue)
            self._queue.clear()
            self._changed.notify_all()
            self._arrived.notify_all()
            last = not self._sending
        if last:
            self.runtime.channel.close()
        return queued

    def wait_quiet(self, deadline: float) -> bool:
        """Wait until every attempt has ended and is written down, or ``deadline`` (``time.monotonic``); whether so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._is_at_work(), max(0.0, deadline - time.monotonic()))

    def _is_at_work(self) -> bool:
        return bool(self._sending or self._unrecorded)

    # workers

    def _staff(self) -> None:
        """Start workers for what is queued. The lock is held."""
        needed = min(len(self._queue) - self._idle, self.runtime.channel.width - self._workers)
        for _ in range(needed):
            worker = threading.Thread(target=self._work, name=f"gateway-{self.name}", daemon=True)
            try:
                worker.start()
            except RuntimeError:  # the interpreter is ending and starts no threads; drain() sends in its own
                return
            self._workers += 1

    def _work(self) -> None:
        while (sending := self._next(IDLE_SECONDS)) is not None:
            if not self._serve(sending):
                return  # it was stuck, and another has taken its place

    def serve_one(self) -> bool:
        """Send the first in the queue in the calling thread; ``False`` if nothing can be sent now."""
        sending = self._next(0.0, hired=False)
        if sending is None:
            return False
        self._serve(sending)
        return True

    def _next(self, patience: float, hired: bool = True) -> Sending | None:
        """The next attempt to make, counted as in progress; ``None`` when there is none for ``patience`` seconds."""
        while True:
            with self._changed:
                if self._may_send():
                    return self._begin(self._queue.popleft(), hired=hired)
                refused, records = self._give_back()
                if not refused and not self._wait_for_work(patience):
                    self._workers -= hired
                    return None
            self._desk.postpone(records)

    def _may_send(self) -> bool:
        now = self._clock.monotonic()
        return bool(
            self._queue
            and len(self._sending) < self.runtime.channel.width
            and self._unrecorded < self.runtime.channel.width
            and not self._is_jammed()
            and self._breaker.permits(now)
            and self._limiter.permits(now, len(self._queue))
        )

    def _begin(self, delivery: Delivery, *, hired: bool = False, is_awaited: bool = False) -> Sending:
        """Count an attempt as in progress. The lock is held."""
        self._limiter.take(self._clock.monotonic())
        self._breaker = self._breaker.sending()
        sending = Sending(delivery, time.monotonic(), hired, is_awaited)
        self._sending.add(sending)
        if self.behind and len(self._queue) <= LARGEST_QUEUE // 4:
            self._desk.look()
        return sending

    def _give_back(self) -> tuple[bool, list[Record]]:
        """Empty the queue if it would have to wait long for breaker or limiter, and say until when."""
        now = self._clock.monotonic()
        parked, limited = self._parked_for(now), self._limiter.wait(now)
        if not self._queue or max(parked, limited) <= SHORT_WAIT:
            return False, []
        reason = STUCK if self._is_jammed() else "parked" if parked >= limited else "rate"
        at = self._clock.now()
        due_at = at + timedelta(seconds=max(parked, limited))
        records = [postpone(delivery, reason, due_at, at) for delivery in self._queue]
        self._queue.clear()
        return True, records

    def _wait_for_work(self, patience: float) -> bool:
        """Wait for a change; ``False`` if the worker should end. The lock is held."""
        if self._retired or not patience:
            return False
        if self._queue:  # for the limiter, or for somebody else's attempt to end
            now = self._clock.monotonic()
            self._changed.wait(max(self._limiter.wait(now), self._breaker.wait(now)) or SHORT_WAIT)
            return True
        self._idle += 1
        woken = self._arrived.wait(patience)
        self._idle -= 1
        return woken or bool(self._queue)

    def _serve(self, sending: Sending) -> bool:
        """Make an attempt; ``False`` if it was given up as stuck meanwhile."""
        delivery = sending.delivery
        try:
            if self._desk.holds(delivery):
                self._deliver(sending)
            else:
                self._desk.let_go(delivery)
        except StoreError as error:
            log.error("an outcome was not recorded", extra={**_about(delivery), "error": str(error)})
        finally:
            in_time = self._end(sending)
        return in_time

    def _end(self, sending: Sending) -> bool:
        """Count an attempt as in progress no more; ``False`` if it was given up as stuck before."""
        with self._changed:
            if sending not in self._sending:
                return False
            was_full = len(self._sending) >= self.runtime.channel.width
            self._sending.remove(sending)
            self._asked.pop(sending, None)  # it is there still if the attempt ended in an error of ours
            self._breaker = self._breaker.unsent()
            last = self._retired and not self._sending
            if was_full or not self._is_at_work():
                self._changed.notify_all()
        if last:
            self.runtime.channel.close()
        return True

    # one attempt

    def deliver_now(self, delivery: Delivery) -> tuple[Outcome, Recorded]:
        """Make the only attempt of a required delivery: somebody waits for it, but not for a plugin that hangs.

        Waits for the rate limiter and a free place for at most the channel's timeout; a parked
        channel is asked all the same, unless it hangs.
        """
        sending = self._begin_required(delivery)
        if sending is None:
            outcome = Outcome("temporary", "rate", "the channel was not free in time")
            return outcome, self._desk.record(give_up(delivery, "rate", self._fallback(delivery), self._clock.now()))
        asked = self._ask_from_now(sending)
        answer = _in_a_thread(lambda: self._answered(sending), f"gateway-{self.name}")
        try:
            outcome = self._awaited(answer, sending)
            return outcome, self._desk.record(self._settle(delivery, outcome, asked, last=True))
        finally:
            self._end(sending)

    def _awaited(self, answer: Future[Outcome], sending: Sending) -> Outcome:
        try:
            return answer.result(self.runtime.timeout + self.runtime.grace)
        except TimeoutError:
            left = self._leave_stuck(lambda one, _: one is sending)
            return left[0][2] if left else answer.result()  # else it has just ended

    def _answered(self, sending: Sending) -> Outcome:
        """Ask the channel; what it says after it was given up as stuck is passed over."""
        outcome = self._ask(sending.delivery)
        self._stop_asking(sending, outcome)
        return outcome

    def _begin_required(self, delivery: Delivery) -> Sending | None:
        deadline = time.monotonic() + self.runtime.timeout
        with self._changed:
            while not self._is_jammed():
                now = self._clock.monotonic()
                if len(self._sending) < self.runtime.channel.width and self._limiter.permits(now, 1):
                    return self._begin(delivery, is_awaited=True)
                pause = self._limiter.wait(now)
                if time.monotonic() + pause >= deadline:
                    return None
                self._changed.wait(pause or deadline - time.monotonic())
        return None

    def _deliver(self, sending: Sending) -> None:
        """Make an attempt and have written down what came of it, unless it was given up as stuck meanwhile."""
        asked = self._ask_from_now(sending)
        outcome = self._ask(sending.delivery)
        if self._stop_asking(sending, outcome):
            self._record_soon(self._settle(sending.delivery, outcome, asked))

    def _record_soon(self, record: Record) -> None:
        """Have ``record`` written, and let the worker go on meanwhile."""
        with self._changed:
            self._unrecorded += 1
        try:
            written = self._desk.record_soon(record)
        except BaseException:
            self._note_recorded()
            raise
        written.add_done_callback(lambda done: self._recorded(record, done))

    def _recorded(self, record: Record, done: Future[Recorded]) -> None:
        if (error := done.exception()) is not None:
            log.error("an outcome was not recorded", extra={**_about(record.delivery), "error": str(error)})
        self._note_recorded()

    def _note_recorded(self) -> None:
        with self._changed:
            was_full = self._unrecorded >= self.runtime.channel.width
            self._unrecorded -= 1
            if not self._is_at_work():
                self._changed.notify_all()
            elif was_full:  # there is room for one; should somebody else hear of it, that one looks again by itself
                self._changed.notify()

    def _ask_from_now(self, sending: Sending) -> Asked:
        asked = Asked(self._clock.now(), time.monotonic())
        with self._changed:
            self._asked[sending] = asked
        return asked

    def _stop_asking(self, sending: Sending, outcome: Outcome) -> bool:
        """Note that the channel has answered; ``False`` if it was too late and the outcome counts no more."""
        with self._changed:
            if sending not in self._stuck:
                self._asked.pop(sending, None)
                return True
            was_jammed = self._is_jammed()
            self._stuck.remove(sending)
            is_open = was_jammed and not self._is_jammed() and self._breaker.state == "closed"
            self._changed.notify_all()
        fields = {**_about(sending.delivery), "outcome": outcome.kind, "reason": outcome.reason}
        log.warning("a stuck attempt has ended after all, and its outcome is passed over", extra=fields)
        if is_open:
            self._tell_open()
        return False

    def _settle(self, delivery: Delivery, outcome: Outcome, asked: Asked, last: bool = False) -> Record:
        """What is to be written down of an attempt, once breaker and limiter know of it."""
        took = round((time.monotonic() - asked.began) * 1000)
        attempt = Attempt(asked.at, outcome.kind, outcome.reason, outcome.detail, took)
        opens_at = self._note(outcome)
        terms = Terms(self.runtime.retry, self._fallback(delivery), opens_at, last)
        record = settle(delivery, outcome, attempt, terms, self._clock.now(), self._random)
        _tell(record, outcome)
        return record

    def _ask(self, delivery: Delivery) -> Outcome:
        message = Message(
            delivery.body, delivery.title, delivery.severity, delivery.format, self._desk.key_of(delivery)
        )
        try:
            return self.runtime.channel.send(message, self.runtime.timeout)
        except (Exception, SystemExit) as error:  # a channel must not raise; one that does must not lose a delivery
            log.exception("a channel raised instead of reporting an outcome", extra=_about(delivery))
            return Outcome("unknown", "plugin_error", type(error).__name__)

    # a plugin that hangs

    def give_up_stuck(self) -> None:
        """Write down attempts the channel has not returned from, long after their time, and put others in their place.

        What becomes of such a delivery is unknown, and it is tried again by the rules. Its thread
        cannot be ended: if it returns after all, its outcome counts no more.
        """
        limit = time.monotonic() - self.runtime.timeout - self.runtime.grace
        for sending, asked, outcome in self._leave_stuck(lambda one, asked: asked.began < limit and not one.is_awaited):
            self._record_soon(self._settle(sending.delivery, outcome, asked))

    def _leave_stuck(self, chosen: Callable[[Sending, Asked], bool]) -> list[tuple[Sending, Asked, Outcome]]:
        """Count the chosen attempts as stuck and fill their places; those that have ended by now are none of them."""
        with self._changed:
            left = [(sending, asked) for sending, asked in self._asked.items() if chosen(sending, asked)]
            if not left:
                return []
            for sending, _ in left:
                del self._asked[sending]
                self._sending.remove(sending)
                self._stuck.add(sending)
                self._workers -= sending.hired
            self._renew()  # before another may enter: what hangs may have left the plugin in any state
            self._staff()
            self._changed.notify_all()
            number, is_jammed = len(self._stuck), self._is_jammed()
            last = self._retired and not self._sending
        if last:
            self.runtime.channel.close()
        seconds = round(time.monotonic() - left[0][1].began)
        for sending, _ in left:
            log.error("an attempt is stuck", extra={**_about(sending.delivery), "seconds": seconds, "stuck": number})
        self._desk.notify(parked(self.name, STUCK) if is_jammed else stuck(self.name, seconds))
        outcome = Outcome("unknown", STUCK, f"the plugin had not returned {seconds} s after it was asked")
        return [(sending, asked, outcome) for sending, asked in left]

    def _renew(self) -> None:
        try:
            self.runtime.channel.renew()
        except Exception:
            log.exception("a channel could not be made anew", extra={"channel": self.name})

    def _note(self, outcome: Outcome) -> datetime:
        """Tell breaker and limiter; returns when the channel takes messages again as far as is known."""
        now = self._clock.monotonic()
        with self._changed:
            before = self._breaker
            self._breaker = after = before.after(outcome, now)
            if outcome.retry_after is not None:
                self._limiter.hold_until(now + min(outcome.retry_after, self.runtime.breaker.longest))
            if after is not before:
                self._changed.notify_all()
            wait = max(after.wait(now), self._limiter.wait(now))
        if before.state != "open" and after.state == "open":
            log.warning("channel parked", extra={"channel": self.name, "reason": after.reason, "seconds": wait})
            self._desk.notify(parked(self.name, after.reason))
        if before.state != "closed" and after.state == "closed":
            self._tell_open()
        return self._clock.now() + timedelta(seconds=wait)

    def _tell_open(self) -> None:
        log.warning("channel takes messages again", extra={"channel": self.name})
        self._desk.notify(opened(self.name))
        self._desk.look()

    def _fallback(self, delivery: Delivery) -> NewDelivery | None:
        return self._desk.fallback_for(delivery, self.runtime)


def _in_a_thread(work: Callable[[], Outcome], name: str) -> Future[Outcome]:
    """What ``work`` returns, done in a thread of its own, or here where none can be started any more."""
    answer: Future[Outcome] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:
            answer.set_exception(error)

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError:  # the interpreter is ending
        run()
    return answer


def _about(delivery: Delivery) -> dict[str, object]:
    return {"delivery_id": delivery.id, "handler": delivery.handler, "channel": delivery.channel}


def _tell(record: Record, outcome: Outcome) -> None:
    fields = {**_about(record.delivery), "outcome": outcome.kind, "reason": outcome.reason}
    match record.status:
        case "delivered":
            log.debug("delivered", extra=fields)
        case "dead":
            log.error("delivery given up", extra=fields)
        case _:
            log.warning("delivery to be tried again", extra={**fields, "due_at": record.due_at.isoformat()})
