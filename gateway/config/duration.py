"""Durations as the configuration writes them: ``"90s"``, ``"10m"``, ``"1h30m"``, ``"2d"``, ``"250ms"``."""

from __future__ import annotations

import re
from datetime import timedelta

PATTERN = r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
"""What a duration looks like: whole numbers with units, the largest unit first, each at most once."""

LONGEST = timedelta(days=3650)

_SHAPE = re.compile(PATTERN)
_PART = re.compile(r"([0-9]+)(ms|[dhms])")
_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_MOST_DIGITS = 12


def parse_duration(text: str) -> timedelta:
    """The duration ``text`` writes.

    Raises:
        ValueError: it is not one, or is longer than ten years.
    """
    if not text or not _SHAPE.fullmatch(text):
        raise ValueError("must be a duration such as '90s', '10m', '1h30m' or '250ms'")
    parts = _PART.findall(text)
    if any(len(number) > _MOST_DIGITS for number, _ in parts):
        raise ValueError("is longer than ten years")
    length = timedelta()
    for number, unit in parts:
        count = int(number)
        if count > LONGEST / _UNITS[unit]:
            raise ValueError("is longer than ten years")
        length += count * _UNITS[unit]
    return length


def format_duration(length: timedelta) -> str:
    """``length`` as :func:`parse_duration` reads it, to the millisecond: ``"1h30m"``."""
    parts = []
    for unit, size in _UNITS.items():
        count, length = divmod(length, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def format_roughly(length: timedelta) -> str:
    """``length`` for people: its two largest units, seconds at the least (``"1h30m"``, ``"3d4h"``, ``"0s"``)."""
    parts = re.findall(r"[0-9]+[dhms]", format_duration(length - length % timedelta(seconds=1)))
    return "".join(parts[:2])
