"""Reach: how far a source has been read, and how far back it is read again. Decides only; it is told the time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

SHORTEST_OVERLAP = timedelta(seconds=15)
"""How far back every sweep reads: the server writes what it was told every five seconds."""

LOOKS = (0.0, 0.125, 0.25, 0.5, 1.0)
"""When a stretch in which events may come late is read again, in overlaps after the server answers once more: what
flows could not send while it was away, they send by and by."""

HISTORY_LOOK = 2
"""After so many of these looks, what the server itself has lost is looked for."""


@dataclass(frozen=True, slots=True)
class Look:
    """One reading of what the server has kept.

    Attributes:
        kind: ``"short"`` in steady state, ``"long"`` once in a while, ``"unsettled"`` after a start or a breakdown.
        since: from where.
        now: the time of the server's clock when it began.
        at: the same by a steady clock, in seconds.
    """

    kind: Literal["short", "long", "unsettled"]
    since: datetime
    now: datetime
    at: float


class Reach:
    """Where to read from.

    The *position* is how far everything has been read. What lies behind it can still come: everywhere for a few
    seconds, and after a start or a breakdown (an *unsettled* stretch) for the whole overlap.

    Args:
        position: where to go on.
        overlap: how late events may come.
        max_age: what is older is never read.
        beginning: where the source was first read; nothing from before is.

    Attributes:
        position: how far everything has been read.
    """

    def __init__(
        self, position: datetime, overlap: timedelta, max_age: timedelta, beginning: datetime | None = None
    ) -> None:
        self.position, self._overlap, self._max_age = position, overlap, max_age
        self._floor = max(position - overlap, beginning or position - overlap)
        self._unsettled: datetime | None = position
        self._looks: list[float] | None = None
        self._looked = 0
        self._next_long = 0.0

    @property
    def kept(self) -> datetime:
        """What to note as read: a process that starts there misses nothing."""
        return self.position if self._unsettled is None else self._unsettled

    @property
    def is_settled(self) -> bool:
        """Whether nothing is expected to come late."""
        return self._unsettled is None

    def broke(self) -> None:
        """Something went wrong: what happens from the position on may be told late."""
        if self._unsettled is None:
            self._unsettled = self.position
        self._looks, self._looked = None, 0

    def look(self, now: datetime, at: float) -> Look:
        """What to read next.

        Args:
            now: the time of the server's clock.
            at: seconds of a steady clock.
        """
        earliest = self.earliest(now)
        if self._unsettled is not None and (self._looks is None or self._looks[0] <= at):
            return Look("unsettled", max(self._unsettled - self._overlap, earliest), now, at)
        if self._next_long <= at:
            return Look("long", max(self.position - 2 * self._overlap, earliest), now, at)
        return Look("short", max(self.position - SHORTEST_OVERLAP, earliest), now, at)

    def earliest(self, now: datetime) -> datetime:
        """What occurred before that is not told."""
        return max(self._floor, now - self._max_age)

    def left_out(self, now: datetime) -> timedelta:
        """How much of what happened is too old to be read."""
        return max(timedelta(), now - self._max_age - self.position)

    def done(self, look: Look, last: datetime | None) -> bool:
        """All that ``look`` meant was read, and is on the disk; the last of it occurred at ``last``.

        Nothing moves the position beyond the time at which the look began: an event may claim to come from the future.

        Returns whether it is time to look for what the server itself has lost.
        """
        if look.kind != "short":
            self._next_long = look.at + self._overlap.total_seconds()
        idle = look.now - min(self._overlap, self._max_age / 2)
        self.position = max(self.position, min(last or self.position, look.now), idle)
        return look.kind == "unsettled" and self._settle(look.at)

    def _settle(self, at: float) -> bool:
        if self._looks is None:
            self._looks = [at + part * self._overlap.total_seconds() for part in LOOKS]
        while self._looks and self._looks[0] <= at:
            self._looks.pop(0)
        self._looked += 1
        if not self._looks:
            self._unsettled = None
        return self._looked == HISTORY_LOOK or (self._unsettled is None and self._looked < HISTORY_LOOK)
