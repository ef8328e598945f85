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


@dataclass(slots=True, eq=False)
class _Stretch:
    """A stretch in which events may come late: from where on, when it is to be looked at, how often it was."""

    start: datetime
    looks: list[float] | None = None
    looked: int = 0

    def is_due(self, at: float) -> bool:
        return self.looks is None or self.looks[0] <= at

    def note_look(self, at: float, overlap: timedelta) -> None:
        if self.looks is None:
            self.looks = [at + part * overlap.total_seconds() for part in LOOKS]
        self.looks = [one for one in self.looks if one > at]
        self.looked += 1

    @property
    def is_for_history(self) -> bool:
        """Whether the last look was the one after which what the server has lost is looked for."""
        return self.looked == HISTORY_LOOK or (not self.looks and self.looked < HISTORY_LOOK)


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
        self._unsettled = [_Stretch(position)]
        self._looking: list[_Stretch] = []
        self._next_long = 0.0

    @property
    def kept(self) -> datetime:
        """What to note as read: a process that starts there misses nothing."""
        return min((stretch.start for stretch in self._unsettled), default=self.position)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is expected to come late."""
        return not self._unsettled

    def broke(self) -> None:
        """Something went wrong: what happens from the position on may be told late."""
        if not self._unsettled or self._unsettled[-1].looks is not None:
            self._unsettled.append(_Stretch(self.position))

    def look(self, now: datetime, at: float) -> Look:
        """What to read next.

        Args:
            now: the time of the server's clock.
            at: seconds of a steady clock.
        """
        self._follow_clock(now)
        earliest = self.earliest(now)
        self._looking = [stretch for stretch in self._unsettled if stretch.is_due(at)]
        if self._looking:
            since = min(stretch.start for stretch in self._looking) - self._overlap
            return Look("unsettled", max(since, earliest), now, at)
        if self._next_long <= at:
            return Look("long", max(self.position - 2 * self._overlap, earliest), now, at)
        return Look("short", max(self.position - SHORTEST_OVERLAP, earliest), now, at)

    def _follow_clock(self, now: datetime) -> None:
        """Nothing is read beyond the present, even if the clock was ahead and has been set back."""
        self.position, self._floor = min(self.position, now), min(self._floor, now)
        for stretch in self._unsettled:
            stretch.start = min(stretch.start, now)

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
        for stretch in self._looking:
            stretch.note_look(look.at, self._overlap)
        self._unsettled = [stretch for stretch in self._unsettled if stretch.looks != []]
        return any(stretch.is_for_history for stretch in self._looking)
