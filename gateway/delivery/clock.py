"""The clock that delivery is told the time by."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


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
        """Seconds since the machine started, the time it was suspended included where the system can tell.

        Without that, waking up a suspended machine would look as if somebody had set the wall clock.
        """
        if hasattr(time, "CLOCK_BOOTTIME"):
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()


SYSTEM_CLOCK = SystemClock()
