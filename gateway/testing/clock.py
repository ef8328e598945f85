"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class HandMovedClock:
    """A :class:`~gateway.delivery.clock.Clock` that stands at ``start`` until it is moved."""

    def __init__(self, start: datetime = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 1000.0

    def now(self) -> datetime:
        """The wall clock."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that only go on."""
        return self._monotonic

    def advance(self, length: timedelta) -> None:
        """Let ``length`` pass, on both clocks."""
        self._now += length
        self._monotonic += length.total_seconds()

    def set(self, now: datetime) -> None:
        """Set the wall clock, as an administrator would: no time passes."""
        self._now = now
