"""The clock that delivery is told the time by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from gateway.store.clock import steady
from gateway.store.store import Store


class Clock(Protocol):
    """Two readings: the time of day, which may be set, and one that only goes on."""

    def now(self) -> datetime:
        """The wall clock, UTC-aware."""

    def monotonic(self) -> float:
        """Seconds since some moment, the same moment for all processes on the host."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The wall clock, UTC-aware."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since the machine started; see :func:`gateway.store.clock.steady`."""
        return steady()


SYSTEM_CLOCK = SystemClock()


class StoreClock(SystemClock):
    """The time by which all go who use ``store``: on PostgreSQL the database's, whatever this host believes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def now(self) -> datetime:
        """The time, UTC-aware."""
        return self._store.now()
