"""Template filters for text and numbers. All are pure; none makes a text over the limit.

They raise ``UnfitValue`` for what they cannot work on; their docstrings are the reference for users.
"""

from __future__ import annotations

import html
import math
import re
from typing import Any, Literal
from urllib.parse import quote, quote_plus

from jinja2 import Undefined
from markupsafe import Markup

from gateway.rules.values import UnfitValue, as_json, as_text, bounded, kind_of, refuse_longer

_WORD_BEGINNING = re.compile(r"([-\s({\[<]+)")


def lower(value: object) -> str:
    """The text in lower case."""
    return as_text(value).lower()


def upper(value: object) -> str:
    """The text in upper case."""
    return as_text(value).upper()


def title(value: object) -> str:
    """Every word with a capital, the rest in lower case."""
    words = _WORD_BEGINNING.split(as_text(value))
    return "".join(word[:1].upper() + word[1:].lower() for word in words)


def capitalize(value: object) -> str:
    """The first letter a capital, the rest in lower case."""
    return as_text(value).capitalize()


def trim(value: object, chars: str | None = None) -> str:
    """The text without blanks (or the given characters) at both ends."""
    return as_text(value).strip(chars)


def truncate(value: object, length: int = 255, killwords: bool = False, end: str = "...", leeway: int = 5) -> str:
    """The text cut to `length` characters, at a word unless `killwords`, with `end` to show it was cut.

    A text that is longer by no more than `leeway` is left whole.
    """
    if length < len(end) or leeway < 0:
        raise UnfitValue(f"truncate needs a length of at least {len(end)} and a leeway of at least 0")
    text = as_text(value)
    if len(text) <= length + leeway:
        return text
    kept = text[: length - len(end)]
    return (kept if killwords else kept.rsplit(" ", 1)[0]) + end


def replace(value: object, old: str, new: str, count: int | None = None) -> str:
    """The text with `old` replaced by `new`, everywhere or the first `count` times."""
    text, old, new = as_text(value), as_text(old), as_text(new)
    limit = -1 if count is None else count
    found = text.count(old)
    replaced = found if limit < 0 else min(found, limit)
    refuse_longer(len(text) + replaced * (len(new) - len(old)))
    return text.replace(old, new, limit)


def indent(value: object, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    """Every line but the first (unless `first`) and the blank ones (unless `blank`) moved right by `width`."""
    margin = width if isinstance(width, str) else " " * limited(width, "a width", 0, 200)
    lines = (as_text(value) + "\n").splitlines()
    refuse_longer(sum(map(len, lines)) + len(lines) * (len(margin) + 1))
    moved = [margin + line if line or blank else line for line in lines[1:]]
    return "\n".join([margin + lines[0] if first else lines[0], *moved])


def lines(value: object) -> list[str]:
    """The lines of a text: `state.message | lines | last` is the last line of a traceback."""
    return as_text(value).splitlines()


def split(value: object, separator: str | None = None) -> list[str]:
    """The parts of a text between separators, or its words."""
    return as_text(value).split(separator)


def striptags(value: object) -> str:
    """The text without HTML tags and with single blanks."""
    return Markup(as_text(value)).striptags()


def urlencode(value: object) -> str:
    """The text, or the pairs of a mapping, percent-encoded for a URL."""
    if isinstance(value, dict):
        pairs = (f"{quote_plus(as_text(key))}={quote_plus(as_text(item))}" for key, item in value.items())
        return bounded("&".join(pairs))
    return bounded(quote(as_text(value)))


def escape(value: object) -> str:
    """The text with the characters escaped that mean something in the message's format (in `when`: in HTML)."""
    return bounded(html.escape(as_text(value)))


def string(value: object) -> str:
    """The value as text, as a message would show it."""
    return as_text(value)


def tojson(value: object, indent: int | None = None) -> str:
    """The value as JSON text, on one line unless `indent` says how far to move nested lines."""
    return as_json(value, None if indent is None else limited(indent, "an indent", 0, 8))


def to_int(value: Any, default: int = 0, base: int = 10) -> Any:
    """The value as a whole number; `default` when it is none."""
    try:
        return int(value, base) if isinstance(value, str) else int(value)
    except (TypeError, ValueError, OverflowError):
        return _int_of_float(value, default)


def _int_of_float(value: Any, default: int) -> Any:
    """For text such as ``"2.5"``."""
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return default


def to_float(value: Any, default: float = 0.0) -> Any:
    """The value as a number; `default` when it is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return default


def to_round(value: object, precision: int = 0, method: Literal["common", "ceil", "floor"] = "common") -> float:
    """The number rounded to `precision` decimals; `method` is common, ceil or floor."""
    number, digits = _number(value), limited(precision, "a precision", -15, 15)
    if method == "common":
        return float(round(number, digits))
    if method not in ("ceil", "floor"):
        raise UnfitValue("round knows the methods common, ceil and floor")
    step = 10.0**digits
    whole: int = (math.ceil if method == "ceil" else math.floor)(number * step)
    return whole / step


def to_abs(value: object) -> Any:
    """The number without its sign."""
    return abs(_number(value))


def default(value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    """`default_value` in place of a missing value; with `true` as second argument also of none, empty and zero."""
    if isinstance(value, Undefined) or (boolean and not value):
        return default_value
    return value


def filesizeformat(value: object, binary: bool = False) -> str:
    """A number of bytes as people read it: 13 kB, or 12.7 KiB with `binary`."""
    base, suffix = (1_024, "iB") if binary else (1_000, "B")
    size = float(_number(value))
    if size < base:
        return "1 Byte" if size == 1 else f"{int(size)} Bytes"
    power = next((power for power in range(1, 8) if size < base ** (power + 1)), 8)
    return f"{size / base**power:.1f} {'KMGTPEZY'[power - 1] if binary else 'kMGTPEZY'[power - 1]}{suffix}"


def plural(value: object, one: str = "", many: str = "s") -> str:
    """`one` for the number 1, else `many`: `{{ n }} task{{ n | plural }}`, `{{ n | plural("retry", "retries") }}`.

    A list or mapping counts as the number of its items.
    """
    count = len(value) if isinstance(value, list | tuple | dict) else _number(value)
    return one if count == 1 else many


def limited(number: int, what: str, least: int, most: int) -> int:
    """``number`` if it is whole and within the limits."""
    if type(number) is not int or not least <= number <= most:
        raise UnfitValue(f"{what} is a whole number from {least} to {most}")
    return number


def _number(value: object) -> Any:
    if not isinstance(value, int | float):
        raise UnfitValue(f"a number is needed here, not {kind_of(value)}")
    return value
