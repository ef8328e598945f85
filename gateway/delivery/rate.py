"""The rate limiters of one channel: so many messages in any stretch of time, and no faster than the service asks."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

from gateway.config.rate import Rate
from gateway.store.rates import LONGEST_USE, Grant, Used, WantSlots

UNLIMITED = 1_000_000_000

SHARES = 4
"""A node asks for so large a part of a rate at once, that others get theirs."""

LARGEST_GRANT = 50

SHORTEST_USE, USUAL_USE = 0.1, 1.0
"""Seconds within which slots are to be used: long enough for the answer to arrive, short against the stretch."""

PATIENCE = 4.0
"""Slots are asked for so many times as long as the last answer took: a slow store must not let all of them expire."""

FAILED_PAUSE = 0.5
"""Seconds until the store is asked again after it failed."""


class Limiter(Protocol):
    """What a lane asks before it sends. Seconds are those of a clock that only goes on.

    Attributes:
        held_until: nothing goes before, because the service asked for it.
    """

    held_until: float

    def available(self, now: float) -> int:
        """How many messages may go right now, as far as is known."""

    def wait(self, now: float) -> float:
        """Seconds until the next message may go, as far as is known."""

    def permits(self, now: float, waiting: int) -> bool:
        """Whether a message may go now, of which ``waiting`` are waiting."""

    def take(self, now: float) -> None:
        """Note that a message goes now."""

    def hold_until(self, at: float) -> None:
        """Let nothing go before ``at``."""


class RateLimiter:
    """Remembers when the last messages went, so that not one stretch of time holds more than the rate allows.

    Seconds are those of a clock that only goes on. Not safe for several threads: its lane's lock guards it.
    """

    def __init__(self, rate: Rate | None = None) -> None:
        self.rate = rate
        self._sent: deque[float] = deque()
        self.held_until = -math.inf

    @property
    def rate(self) -> Rate | None:
        """The most messages in a stretch of time. With another, what went and what was asked for still count."""
        return self._rate

    @rate.setter
    def rate(self, rate: Rate | None) -> None:
        self._rate = rate
        self._count = UNLIMITED if rate is None else rate.count
        self._per = 0.0 if rate is None else rate.per.total_seconds()

    def available(self, now: float) -> int:
        """How many messages may go right now."""
        if now < self.held_until:
            return 0
        self._forget(now)
        return max(0, self._count - len(self._sent))

    def wait(self, now: float) -> float:
        """Seconds until the next message may go; 0 when it may now."""
        self._forget(now)
        full = len(self._sent) >= self._count
        free_at = max(self.held_until, self._sent[-self._count] + self._per if full else -math.inf)
        return max(0.0, free_at - now)

    def permits(self, now: float, waiting: int) -> bool:
        """Whether a message may go now."""
        return not self.wait(now)

    def take(self, now: float) -> None:
        """Note that a message goes now."""
        if self._per:
            self._sent.append(now)

    def hold_until(self, at: float) -> None:
        """Let nothing go before ``at``: the service asked for it."""
        self.held_until = max(self.held_until, at)

    def _forget(self, now: float) -> None:
        while self._sent and self._sent[0] + self._per <= now:
            self._sent.popleft()


class SharedLimiter:
    """As :class:`RateLimiter`, for a rate that all nodes on a store keep together.

    It sends only what it was granted slots for, and asks for some when a message waits. It never waits for
    the answer itself: :meth:`hear` brings it, and until then nothing goes.

    Args:
        rate: the channel's.
        ask: sends a question to the store; whoever answers calls :meth:`hear`.
        channel: whose rate it is.
    """

    def __init__(self, channel: str, rate: Rate, ask: Callable[[SharedLimiter, WantSlots], None]) -> None:
        self._channel, self._count, self._per = channel, rate.count, rate.per.total_seconds()
        self._ask = ask
        self._use = min(USUAL_USE, max(SHORTEST_USE, self._per / 10))
        self._grant: Grant | None = None
        self._in_hand = self._sent = 0
        self._sent_at = self._expires_at = self._asked_at = -math.inf
        self._asking = False
        self._left, self._left_until = self._count, -math.inf
        self._refused_until = self.held_until = -math.inf

    def available(self, now: float) -> int:
        """How many messages may go right now, as far as is known."""
        if now < self.held_until:
            return 0
        in_hand = self._slots(now)
        if now < self._refused_until:
            return in_hand
        return in_hand + (self._left if now < self._left_until else self._count)

    def wait(self, now: float) -> float:
        """Seconds until the next message may go, as far as is known; 0 when it may now or could be asked for."""
        refused_until = -math.inf if self._slots(now) else self._refused_until
        return max(0.0, max(self.held_until, refused_until) - now)

    def permits(self, now: float, waiting: int) -> bool:
        """Whether a message may go now; asks for slots for ``waiting`` messages when there are none left."""
        if self.wait(now):
            return False
        if not self._slots(now) and not self._asking:
            self._want(now, waiting)
        return self._slots(now) > 0

    def take(self, now: float) -> None:
        """Note that a message goes now."""
        self._in_hand -= 1
        self._sent, self._sent_at = self._sent + 1, now

    def hold_until(self, at: float) -> None:
        """Let nothing go before ``at``: the service asked for it."""
        self.held_until = max(self.held_until, at)

    def hear(self, grant: Grant | None, now: float) -> None:
        """The answer to the last question; ``None`` when there is none because the store failed."""
        took = now - self._asked_at
        self._asking, self._grant, self._in_hand, self._sent = False, None, 0, 0
        if grant is None:
            self._refused_until = now + FAILED_PAUSE
            return
        # From before the question was asked: surely not later than the store believes.
        self._expires_at = self._asked_at + self._use
        self._use = min(LONGEST_USE, max(self._use, took * PATIENCE))
        self._left, self._left_until = grant.left, now + min(self._per, 1.0)
        if grant.slots:
            self._grant, self._in_hand = grant, grant.slots
        else:
            self._refused_until = now + grant.wait

    def _slots(self, now: float) -> int:
        return self._in_hand if now < self._expires_at else 0

    def _want(self, now: float, waiting: int) -> None:
        slots = max(1, min(waiting, self._count // SHARES, LARGEST_GRANT))
        self._asking, self._asked_at = True, now
        self._ask(self, WantSlots(self._channel, self._count, self._per, slots, self._use, self._used(now)))

    def _used(self, now: float) -> Used | None:
        if self._grant is None:
            return None
        return Used(self._grant.until, self._grant.slots, self._sent, now - self._sent_at if self._sent else 0.0)
