"""How rules read and write values: keys of untyped data, missing values, text, JSON.

Nothing here ever reads an attribute of a value, so there is none to escape through, and
nothing makes a text longer than :data:`MAX_LENGTH`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NoReturn

from jinja2 import Undefined, UndefinedError

MAX_LENGTH = 65_536
"""The longest text, in characters, and list, in items, a filter or a template may make."""


class UnfitValue(ValueError):
    """A value does not fit what a template asks of it. The message tells types and limits, never the value."""


class MissingKey(UndefinedError):
    """A template uses a key that the data of this transition does not have."""


class Missing(Undefined):
    """Stands for what is not there: false in a condition, equal to nothing else, an error wherever it is used."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._refuse()

    def _refuse(self, *_: object) -> NoReturn:
        self._fail_with_undefined_error()
        raise AssertionError("an undefined value always raises")  # pragma: no cover

    __str__ = __iter__ = __len__ = _refuse

    def __contains__(self, _: object) -> bool:
        return False

    def __bool__(self) -> bool:
        return False

    __hash__ = object.__hash__


def missing_key(what: str) -> Missing:
    """What stands for a key that untyped data does not have."""
    return Missing(f"{what} is missing", exc=MissingKey)


ABSENT: Any = object()
"""What :func:`look_up` returns when there is nothing."""


def look_up(value: object, key: object) -> Any:
    """The item of a mapping, list or text, or :data:`ABSENT`. Attributes are never read."""
    if isinstance(value, dict):
        return value.get(key, ABSENT) if isinstance(key, str | int | float | bool | None) else ABSENT
    if isinstance(value, list | tuple | str) and type(key) is int:
        return value[key] if -len(value) <= key < len(value) else ABSENT
    return ABSENT


def look_up_path(value: object, path: str | int) -> Any:
    """The item at a dotted path (``"error.code"``, ``"rows.0"``), or what stands for a missing one."""
    steps = [path] if isinstance(path, int) else [int(step) if step.isdecimal() else step for step in path.split(".")]
    for step in steps:
        value = look_up(value, step)
        if value is ABSENT:
            return missing_key(f"the key {path!r} of an item")
    return value


_KINDS: Sequence[tuple[Any, str]] = (
    (type(None), "none"),
    (bool, "true or false"),
    (int | float, "a number"),
    (str, "text"),
    (datetime | date, "a time"),
    (timedelta, "a duration"),
    (dict, "a mapping"),
    (list | tuple | set | frozenset, "a list"),
)


def kind_of(value: object) -> str:
    """What a value is, in words for an error.

    Raises:
        UndefinedError: it is missing, which is the better error.
    """
    if isinstance(value, Undefined):
        str(value)
    return next((words for kind, words in _KINDS if isinstance(value, kind)), f"a {type(value).__name__}")


def bounded(text: str) -> str:
    """``text``, unless it is too long to keep."""
    refuse_longer(len(text))
    return text


def refuse_longer(length: int) -> None:
    """Raise if a text or list of this length may not be made."""
    if length > MAX_LENGTH:
        raise UnfitValue(f"a value would grow over {MAX_LENGTH:,} characters or items")


def as_text(value: object) -> str:
    """A value as people read it: none is empty, times end in their zone, data is JSON.

    Raises:
        UnfitValue: it is something that cannot be printed.
        UndefinedError: it is missing.
    """
    match value:
        case str():
            return value
        case None:
            return ""
        case bool() | float():
            return str(value)
        case int():
            return _digits(value)
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S %Z").rstrip()
        case date():
            return value.isoformat()
        case timedelta():
            return duration_text(value.total_seconds())
        case dict() | list() | tuple():
            return as_json(value)
        case Undefined():
            return str(value)
    raise UnfitValue(f"{kind_of(value)} cannot be shown")


def _digits(number: int) -> str:
    if number.bit_length() > 4_096:
        raise UnfitValue("a number is too large to print")
    return str(number)


def as_json(value: object, indent: int | None = None) -> str:
    """``value`` as JSON text; times and durations inside are told as text.

    Raises:
        UnfitValue: the text would be too long, or something inside is not data.
    """
    encoder = json.JSONEncoder(ensure_ascii=False, indent=indent, default=as_text)
    pieces, length = [], 0
    for piece in encoder.iterencode(value):
        length += len(piece)
        if length > MAX_LENGTH:
            raise UnfitValue(f"the data is longer than {MAX_LENGTH:,} characters as JSON")
        pieces.append(piece)
    return "".join(pieces)


_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def duration_text(seconds: float) -> str:
    """A duration in its two largest units: ``1h 30m``, ``2d``, ``1.5s``, ``350 ms``."""
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if 0 < seconds < 0.9995:
        return f"{sign}{seconds * 1_000:.0f} ms"
    if seconds < 9.95:
        return f"{sign}{seconds:.1f}".removesuffix(".0") + "s"
    return sign + " ".join(_largest_units(round(seconds)))


def _largest_units(seconds: int) -> Iterable[str]:
    parts = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        parts.append((count, unit))
    first = next(at for at, (count, _) in enumerate(parts) if count)
    return [f"{count}{unit}" for count, unit in parts[first : first + 2] if count]
