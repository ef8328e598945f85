"""Values: what an expression of a mapping gave, as what its key needs. Each raises ``Unfit`` for anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.encoding import LONGEST_NAME
from gateway.rules.mapping import NEEDED, ValueKind
from gateway.rules.values import kind_of
from gateway.sources.payload import EARLIEST, LARGEST_COUNT, LATEST, MOST_TAGS
from gateway.transition import cut

MILLISECONDS_FROM = 100_000_000_000
"""A time as a number is in seconds since 1970; from here on, which is the year 5138, in milliseconds."""

NAMES = ("name", "key")
"""The keys by which lists of mappings name their items."""


class Unfit(ValueError):
    """A value is not what its key needs; says what it is, never the value."""


def fitted(value: Any, kind: ValueKind) -> Any:
    """``value`` as one of ``kind``; ``None`` stays ``None``.

    Raises:
        Unfit: it is none.
    """
    if value is None:
        return None
    fitting = _FITTING[kind](value)
    if fitting is None:
        raise Unfit(f"must be {NEEDED[kind]}, and is {kind_of(value)}")
    return fitting


def _text(value: Any) -> str | None:
    match value:
        case str():
            return value
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case datetime():
            return value.isoformat()
    return None


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and -1 <= value <= LARGEST_COUNT else None


def _time(value: Any) -> datetime | None:
    try:
        match value:
            case str():
                value = datetime.fromisoformat(value)
            case bool():
                return None
            case int() | float():
                seconds = value / 1000 if value >= MILLISECONDS_FROM else value
                value = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        return None
    return value.astimezone(UTC) if EARLIEST <= value <= LATEST else None


def _list(value: Any) -> tuple[str, ...] | None:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        return None
    texts = [text for item in items[:MOST_TAGS] if (text := _text(item)) is not None]
    return tuple(text[:LONGEST_NAME] for text in texts) if len(texts) == len(items[:MOST_TAGS]) else None


def _mapping(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return value
    return _of_pairs(value) if isinstance(value, list | tuple) else None


def _of_pairs(items: Iterable[Any]) -> dict[str, Any] | None:
    """A list of mappings with a name and a value each, as a mapping."""
    found: dict[str, Any] = {}
    for item in items:
        name = next((item[key] for key in NAMES if key in item), None) if isinstance(item, dict) else None
        if not isinstance(name, str):
            return None
        found[name] = item.get("value")
    return found


def _anything(value: Any) -> Any:
    return value


_FITTING: Mapping[ValueKind, Callable[[Any], Any]] = {
    "text": _text,
    "number": _number,
    "time": _time,
    "list": _list,
    "mapping": _mapping,
    "anything": _anything,
}


def labels_of(value: Mapping[str, Any]) -> dict[str, str]:
    """The labels that are texts, or can be told as one."""
    return {str(key): cut(text) for key, item in value.items() if (text := _text(item))}
