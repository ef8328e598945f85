"""Sweeper: deletes what has been kept long enough, and keeps some of the disk free. In small steps, with rests.

Any number of processes may sweep one store. Each step looks at what is there and does a little of
what is to be done; nothing is remembered between them but how the clock went.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from gateway.delivery.clock import Clock, StoreClock
from gateway.errors import StoreClosedError, StoreError, StoreFullError
from gateway.store.instants import EPOCH
from gateway.store.operations import SMALLEST_STEP
from gateway.store.retention import Expired, Retention
from gateway.store.room import MEBIBYTE, RESERVE, Room
from gateway.store.rows import Oldest
from gateway.store.store import Store

log = logging.getLogger("gateway.store")

LOOK_EVERY = 5.0
"""Seconds between looks when there is nothing to do."""

LOOK_EVERY_WHEN_NEARLY_FULL = 0.5

REST = 4
"""A step is followed by so many times its own length of rest, so that what is accepted meanwhile hardly waits."""

DISTRUST_SECONDS = 3600.0
"""After the wall clock was set nothing is old for so long: a clock that is years ahead for a moment deletes nothing."""

LONGEST_ABSENCE = timedelta(days=31)
"""If nothing was accepted for longer when it starts, it is the clock that may be wrong: as if it had been set."""

RECLAIMED_AT_ONCE = MEBIBYTE
KEPT_EMPTY = 64 * MEBIBYTE
"""Empty bytes that a file keeps to be filled again, or a quarter of its size if that is more."""

EVER = datetime.max.replace(tzinfo=UTC)


class Sweeper:
    """A thread that lets go of what nobody needs.

    Args:
        store: what is swept.
        retention: how long rows are kept; asked at every step, so that it follows reloads.
        clock: tells the time; the one deliveries are stamped with.
    """

    def __init__(self, store: Store, retention: Callable[[], Retention], clock: Clock | None = None) -> None:
        self._store, self._retention, self._clock = store, retention, clock or StoreClock(store)
        self._offset: timedelta | None = None
        self._trusted_from = self._clock.monotonic()
        self._short = self._cannot_step = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway-sweeper", daemon=True)

    def start(self) -> None:
        """Begin to sweep."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the step in progress. Safe to call twice."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            pause = self._step_safely()

    def _step_safely(self) -> float:
        try:
            pause = self.step()
        except StoreClosedError:
            self._stop.set()
        except StoreFullError:  # the writer has said so, and gave up the ballast
            log.debug("there was no room to delete what was kept long enough")
            return LOOK_EVERY_WHEN_NEARLY_FULL
        except StoreError as error:
            level = logging.DEBUG if self._cannot_step else logging.WARNING  # once, not at every step
            self._cannot_step = True
            log.log(level, "could not delete what was kept long enough", extra={"error": str(error)})
        except Exception:  # without this thread the disk fills up: it must outlive any mistake in here
            log.exception("sweeping failed")
        else:
            self._cannot_step = False
            return pause
        return LOOK_EVERY

    def step(self) -> float:
        """Do a little of what there is to do; returns the seconds to rest.

        Raises:
            StoreError: the store could not do it.
        """
        began, room = self._clock.monotonic(), self._store.room()
        self._tell(room)
        if room.takes_ballast and self._store.restock():
            log.debug("the ballast is whole")
        if not (self._forgot(room) | self._reclaimed(room)):
            return LOOK_EVERY_WHEN_NEARLY_FULL if room.is_nearly_full else LOOK_EVERY
        return 0.0 if room.is_scarce else REST * (self._clock.monotonic() - began)

    def _tell(self, room: Room) -> None:
        """Log when what can be spared begins to be given up, once until there is room again."""
        if room.is_scarce and not self._short:
            self._short = True
            log.warning(
                "the disk of the store is nearly full: unmatched transitions are deleted before their time",
                extra={"free_bytes": room.free, "store_bytes": room.size},
            )
        self._short = self._short and room.is_nearly_full

    def _forgot(self, room: Room) -> bool:
        """Delete a few rows that have expired; whether there were any."""
        retention = self._retention() if self._trusts_clock() else None
        expired = expired_at(self._clock.now(), retention, room)
        if not is_any(self._store.oldest(), expired):
            return False
        forgotten = self._store.forget(expired).result()
        log.debug("rows that were kept long enough were deleted", extra={"rows": forgotten.found})
        return forgotten.found > 0

    def _trusts_clock(self) -> bool:
        """Whether the wall clock has gone on as it should, for long enough."""
        now = self._clock.monotonic()
        offset = self._clock.now() - EPOCH - timedelta(seconds=now)
        was_set = self._was_away() if self._offset is None else abs(offset - self._offset) > SMALLEST_STEP
        if was_set:
            self._trusted_from = now + DISTRUST_SECONDS
        self._offset = offset
        return now >= self._trusted_from

    def _was_away(self) -> bool:
        newest = self._store.newest()
        return newest is not None and self._clock.now() - newest > LONGEST_ABSENCE

    def _reclaimed(self, room: Room) -> bool:
        """Give back a little of what is empty in the files, if it is more than they should keep; whether any was."""
        size = min(to_reclaim(room), RECLAIMED_AT_ONCE)
        return size > 0 and self._store.reclaim(size).result() < room.reusable


def expired_at(now: datetime, retention: Retention | None, room: Room) -> Expired:
    """What is to be deleted at ``now``: what has been kept long enough, and all that is unmatched if room is scarce.

    Without a ``retention`` nothing has been kept long enough.
    """
    ended = None if retention is None else _earlier(now, retention.ended)
    unmatched = None if retention is None else _earlier(now, retention.unmatched)
    return Expired(ended, EVER if room.is_scarce else unmatched)


def _earlier(now: datetime, length: timedelta) -> datetime:
    return now - min(length, now - EPOCH)


def is_any(oldest: Oldest, expired: Expired) -> bool:
    """Whether anything of a store is expired."""
    return _is_before(oldest.ended_at, expired.ended_before) or _is_before(
        oldest.unmatched_at, expired.unmatched_before
    )


def _is_before(first: datetime | None, limit: datetime | None) -> bool:
    return first is not None and limit is not None and first < limit


def to_reclaim(room: Room) -> int:
    """How many of the empty bytes in the files the disk should have back.

    What the ballast lacks, and otherwise only what a peak has left behind: rows to come need room
    too, and on a disk that others fill, what is empty in our files is ours.
    """
    if room.missing and room.free is not None:
        return min(room.reusable, max(0, room.missing + RESERVE - room.free))
    return max(0, room.reusable - max(KEPT_EMPTY, (room.size or 0) // 4))
