"""The database's clock, by which all nodes on it go, so that no host's clock matters."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.store.instants import EPOCH

log = logging.getLogger("gateway.store")

WORST_DRIFT = 1e-4
"""By how many seconds two clocks may part in one; a reading grows that much less certain."""

STEP = 2.0
"""Seconds by which the database's clock differs from what was expected when somebody must have set it."""


def steady() -> float:
    """Seconds since the machine started, the time it was suspended included where the system can tell.

    The same for all processes on the host. Without the time of suspension, waking up would look as if somebody
    had set the wall clock.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@dataclass(frozen=True, slots=True)
class Reading:
    """What the database's clock said, seconds since 1970, at some moment between two of ``steady()``."""

    said: float
    before: float
    after: float

    @property
    def ahead(self) -> float:
        """By how much it was ahead of ``steady()``."""
        return self.said - (self.before + self.after) / 2

    def uncertainty(self, now: float) -> float:
        """By how much ``ahead`` may be wrong at ``now``."""
        return (self.after - self.before) / 2 + (now - self.after) * WORST_DRIFT


class DatabaseClock:
    """Tells the time by the last good reading of the database's clock, carried on by the host's steady one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._best: Reading | None = None

    def saw(self, reading: Reading) -> None:
        """Go by ``reading`` if it is better than what we have, or if the database's clock was set."""
        with self._lock:
            best = self._best
            moved = 0.0 if best is None else reading.ahead - best.ahead
            certain = best is None or reading.uncertainty(reading.after) <= best.uncertainty(reading.after)
            if certain or abs(moved) > STEP:
                self._best = reading
        if abs(moved) > STEP:
            log.warning("the database's clock was set", extra={"seconds": round(moved, 3)})

    def now(self) -> datetime:
        """The time all nodes go by, UTC-aware."""
        best = self._best
        assert best is not None, "a database is read before it is used"
        return EPOCH + timedelta(seconds=best.ahead + steady())
