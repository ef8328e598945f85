"""Room: how much the disk of a store still holds, and what follows from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

MEBIBYTE = 1024 * 1024

RESERVE = 8 * MEBIBYTE
"""What the finishing of deliveries may need: the write-ahead log at its largest."""

SCARCE = 32 * MEBIBYTE
NEARLY_FULL = 128 * MEBIBYTE

BALLAST = 16 * MEBIBYTE
"""Twice the write-ahead log at its largest: it must be written, and copied into the file, with nothing else free."""

HOLD_SECONDS = 5.0
"""How long after the last change was refused for want of room no more is taken in."""

LOOK_EVERY = 0.1
"""Seconds a look at the disk counts for: what is taken in meanwhile must be less than the reserve."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a look at the disk found, in bytes.

    Attributes:
        total: how large the file system is.
        free: what can still be written there.
        size: what the files of the store take, without the ballast.
        reusable: what is empty inside the files, and is filled before they grow.
        ballast: how much of that file there is to give up.
    """

    total: int
    free: int
    size: int
    reusable: int
    ballast: int


@dataclass(frozen=True, slots=True)
class Room:
    """How much room a store has, in bytes.

    Attributes:
        free: what can still be written on the file system; ``None`` when only a database server knows.
        size: what the files of the store take, without the ballast; ``None`` as above.
        reusable: what is empty inside the files, and is filled before they grow.
        missing: what the ballast lacks, and takes as soon as it can be had.
        total: how large the file system is.
        full: a change was refused for want of room in the last :data:`HOLD_SECONDS`.
    """

    free: int | None = None
    size: int | None = None
    reusable: int = 0
    missing: int = 0
    total: int = 0
    full: bool = False

    @property
    def spare(self) -> int | None:
        """What the store can still grow by, the ballast set aside."""
        return None if self.free is None else max(0, self.free + self.reusable - self.missing)

    @property
    def is_nearly_full(self) -> bool:
        """Whether somebody should make room: less than 128 MiB, or a third of a small disk, is left."""
        return self.full or self._is_less(self.spare, NEARLY_FULL, 3)

    @property
    def is_scarce(self) -> bool:
        """Whether what can be spared is to be given up: less than 32 MiB, or a quarter of a small disk, is left.

        A disk that has just refused a change has, whatever it says, only what is empty inside the files.
        """
        return self._is_less(self.reusable if self.full else self.spare, SCARCE, 4)

    @property
    def refuses(self) -> bool:
        """Whether nothing more should be taken in: what is left is needed to finish what was accepted."""
        return self.full or self._is_less(self.spare, RESERVE, 8)

    @property
    def takes_ballast(self) -> bool:
        """Whether the ballast can be made whole without taking what the next changes need."""
        return self.missing > 0 and not self.full and self.free is not None and self.free >= self.missing + RESERVE

    def _is_less(self, left: int | None, mark: int, part: int) -> bool:
        """Whether what is ``left`` is less than ``mark``, and than one of so many parts of a small disk."""
        return left is not None and left < min(mark, self.total // part)


class Upkeep(Protocol):
    """What a database in files of our own needs now and then. A server keeps itself."""

    def measure(self) -> Measured:
        """Look at the disk; raises ``OSError`` if it is not there."""

    def relieve(self) -> None:
        """Give up the ballast, because a change was refused for want of room. Called by the writer. Never raises."""

    def restock(self) -> bool:
        """Make the ballast whole; whether it is."""

    def reclaim(self, connection: Connection, node: int, wishes: Sequence[int]) -> Sequence[int]:
        """An operation: give back up to so many empty bytes of the files; how many stay empty in them."""


class Gauge:
    """Tells the room of a store; looks at the disk ten times a second at most. Safe to use from any thread.

    Args:
        measure: looks at the disk; ``None`` when there is none of ours.
        monotonic: tells the time.
    """

    def __init__(self, measure: Callable[[], Measured] | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._measure, self._monotonic = measure, monotonic
        self._refused_at: float | None = None
        self._room: Room | None = None
        self._read_at = 0.0

    def refused(self) -> None:
        """A change was refused for want of room."""
        self._refused_at = self._monotonic()
        self._room = None

    def changed(self) -> None:
        """Something was done about the room: the next question is worth a look."""
        self._room = None

    def room(self) -> Room:
        """The room there is."""
        now = self._monotonic()
        known = self._room
        if known is not None and now - self._read_at < LOOK_EVERY:
            return known
        read = self._look(now)
        self._room, self._read_at = read, now
        return read

    def _look(self, now: float) -> Room:
        full = self._refused_at is not None and now - self._refused_at < HOLD_SECONDS
        if self._measure is None:
            return Room(full=full)
        try:
            found = self._measure()
        except OSError:  # its folder is gone; the writer will say so
            return Room(full=full)
        return Room(
            free=found.free,
            size=found.size,
            reusable=found.reusable,
            missing=max(0, ballast_on(found.total) - found.ballast),
            total=found.total,
            full=full,
        )


def ballast_on(total: int) -> int:
    """How large the ballast is to be on a file system of ``total`` bytes: not more than a quarter of it."""
    return min(BALLAST, total // 4)
