"""The rate limiter of one channel: so many messages in any stretch of time, and no faster than the service asks."""

from __future__ import annotations

import math
from collections import deque

from gateway.config.rate import Rate

UNLIMITED = 1_000_000_000


class RateLimiter:
    """Remembers when the last messages went, so that not one stretch of time holds more than the rate allows.

    Seconds are those of a clock that only goes on. Not safe for several threads: its lane's lock guards it.
    """

    def __init__(self, rate: Rate | None = None) -> None:
        self.rate = rate
        self._sent: deque[float] = deque()
        self._held_until = -math.inf

    @property
    def rate(self) -> Rate | None:
        """The most messages in a stretch of time. With another, what went and what the service asked for still count."""
        return self._rate

    @rate.setter
    def rate(self, rate: Rate | None) -> None:
        self._rate = rate
        self._count = UNLIMITED if rate is None else rate.count
        self._per = 0.0 if rate is None else rate.per.total_seconds()

    def available(self, now: float) -> int:
        """How many messages may go right now."""
        if now < self._held_until:
            return 0
        self._forget(now)
        return max(0, self._count - len(self._sent))

    def wait(self, now: float) -> float:
        """Seconds until the next message may go; 0 when it may now."""
        self._forget(now)
        full = len(self._sent) >= self._count
        free_at = max(self._held_until, self._sent[-self._count] + self._per if full else -math.inf)
        return max(0.0, free_at - now)

    def take(self, now: float) -> None:
        """Note that a message goes now."""
        if self._per:
            self._sent.append(now)

    def hold_until(self, at: float) -> None:
        """Let nothing go before ``at``: the service asked for it."""
        self._held_until = max(self._held_until, at)

    def _forget(self, now: float) -> None:
        while self._sent and self._sent[0] + self._per <= now:
            self._sent.popleft()
