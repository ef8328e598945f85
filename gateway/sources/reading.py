"""Reading: what an event of another form turned out to be: transitions, nothing of ours, or not to be understood."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from gateway.errors import PayloadError
from gateway.states import STATES
from gateway.transition import Transition

UNKNOWN = ""
"""Stands for the type of the state of a run that was never heard of."""

ALL_BUT: Mapping[str, frozenset[str]] = {type: frozenset({UNKNOWN, *STATES} - {type}) for type in STATES}
"""Of every type, those that it is a change to come from: the same state again is none."""

FARTHEST_AHEAD = timedelta(days=1)
"""No clock is so far ahead of ours. As the latest of its run, such an event would hide all that follow it."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A transition as its source told it.

    Attributes:
        transition: what happened; ``old_state`` may be missing.
        follows: the types that the last state of the run may have for this to be any news; ``None`` for all.
    """

    transition: Transition
    follows: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """An event that is no state change, or none that anybody asked for; ``why`` is one word out of a closed list."""

    why: str


@dataclass(frozen=True, slots=True)
class Misread:
    """An event that is not as it should be: everything that is wrong with it, and its text."""

    complaints: tuple[str, ...]
    text: str


Reading = tuple[Reported, ...] | Ignored | Misread
"""What one event turned out to be."""


def read_each(items: Sequence[bytes], read: Callable[[bytes], tuple[Reported, ...] | Ignored]) -> list[Reading]:
    """What ``read`` makes of each of ``items``; what it raises ``PayloadError`` for is a :class:`Misread`."""
    readings: list[Reading] = []
    for item in items:
        try:
            readings.append(read(item))
        except PayloadError as error:
            readings.append(Misread(error.complaints, item.decode("utf-8", "replace")))
    return readings


def check_time(key: str, occurred_at: datetime, now: datetime) -> None:
    """Refuse what has not happened yet.

    Raises:
        PayloadError: it lies further ahead than clocks differ.
    """
    if occurred_at - now > FARTHEST_AHEAD:
        raise PayloadError([f"{key}: {occurred_at.isoformat()} lies more than a day ahead"])


def id_of(*parts: str) -> str:
    """The id of a transition whose source has none for it: the same for the same parts."""
    return sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def in_utc(instant: datetime) -> datetime:
    """``instant`` in UTC."""
    return instant.astimezone(UTC)
