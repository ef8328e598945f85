"""Clock: the time a run goes by, so that a test can move it by hand."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What a run needs to know of time."""

    def now(self) -> datetime:
        """The current time, UTC-aware."""

    def wait_until(self, time: datetime) -> None:
        """Return when ``now()`` has reached ``time``."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The current time."""
        return datetime.now(UTC)

    def wait_until(self, time: datetime) -> None:
        """Sleep until ``time``."""
        while (seconds := (time - self.now()).total_seconds()) > 0:
            _sleep(seconds)


LONGEST_SLEEP = 60.0
"""Seconds. A wait is cut into sleeps of this length to notice when the machine's clock is set."""


def _sleep(seconds: float) -> None:
    time.sleep(min(seconds, LONGEST_SLEEP))


SYSTEM_CLOCK = SystemClock()
