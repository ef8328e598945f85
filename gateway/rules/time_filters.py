"""Template filters for times and durations. The clock is never read: a reference is an argument.

They raise ``UnfitValue`` for what they cannot work on; their docstrings are the reference for users.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from gateway.rules.values import UnfitValue, duration_text, kind_of

_SAFE_FORMAT = re.compile(r"(?:[^%\x00]|%[A-Za-z%])*")
"""C libraries let a format ask for padding (``%9999999Y``) and fill the memory with it: letters only."""


def duration(value: object) -> Any:
    """A duration, or a number of seconds, in its two largest units: 1h 30m, 350 ms."""
    if value is None:
        return None
    if isinstance(value, timedelta):
        return duration_text(value.total_seconds())
    if isinstance(value, int | float) and abs(value) < 1e12:
        return duration_text(float(value))
    raise UnfitValue(f"duration needs a duration or a number of seconds, not {kind_of(value)}")


def datetimeformat(value: object, format: str = "%Y-%m-%d %H:%M:%S %Z") -> Any:
    """A time written in a format of `%` and a letter each: `{{ state.timestamp | datetimeformat("%H:%M") }}`."""
    check_format(format)
    time = as_time(value)
    return None if time is None else time.strftime(format)


def localtime(value: object, zone: str) -> Any:
    """A time in a zone: `{{ state.start_time | localtime("Europe/Paris") }}`."""
    time = as_time(value)
    return None if time is None else time.astimezone(_zone(zone))


def relative(value: object, to: object) -> Any:
    """How far a time is before or after another: 5m ago, in 2h 30m, now."""
    time, reference = as_time(value), as_time(to)
    if time is None or reference is None:
        return None
    seconds = (time - reference).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {duration_text(seconds)}" if seconds > 0 else f"{duration_text(-seconds)} ago"


def as_time(value: object) -> datetime | None:
    """A time out of a time or ISO 8601 text; without a zone it is read as UTC; none stays none.

    Raises:
        UnfitValue: it is neither.
        UndefinedError: it is missing.
    """
    if value is None:
        return None
    time = _parsed(value) if isinstance(value, str) else value
    if not isinstance(time, datetime):
        raise UnfitValue(f"a time is needed here, not {kind_of(value)}")
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def check_format(format: str) -> None:
    """Refuse a time format with anything but a letter after a percent sign."""
    if not isinstance(format, str) or not _SAFE_FORMAT.fullmatch(format):
        raise UnfitValue('a time format is text with % and one letter, such as "%H:%M"')


def check_zone(zone: str) -> None:
    """Refuse a time zone that does not exist."""
    _zone(zone)


def _zone(zone: str) -> ZoneInfo:
    try:
        return ZoneInfo(zone)
    except Exception:  # zoneinfo lets out OSError, ValueError, KeyError and more, by the kind of nonsense
        raise UnfitValue('no such time zone; one is named as in "Europe/Paris" or "UTC"') from None


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
