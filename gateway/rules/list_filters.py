"""Template filters for lists and mappings. All are pure; items are reached by key, never by attribute.

They raise ``UnfitValue`` for what they cannot work on; their docstrings are the reference for users.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import Undefined

from gateway.rules.values import (
    Missing,
    UnfitValue,
    as_text,
    kind_of,
    look_up_path,
    missing_key,
    refuse_longer,
)

Key = Callable[[Any], Any]


def items_of(value: object) -> list[Any]:
    """What a loop over ``value`` goes through: items, the keys of a mapping, the characters of a text.

    Raises:
        UnfitValue: there is nothing to go through.
        UndefinedError: the value is missing.
    """
    if isinstance(value, list | tuple | set | frozenset | dict | str):
        refuse_longer(len(value))
        return list(value)
    raise UnfitValue(f"a list is needed here, not {kind_of(value)}")


def join(value: object, d: str = "", attribute: str | int | None = None) -> str:
    """The items as one text with `d` between them; with `attribute`, that key of each item."""
    texts = [as_text(item) for item in _picked(items_of(value), attribute)]
    separator = as_text(d)
    refuse_longer(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def length(value: Any) -> int:
    """The number of items, keys or characters."""
    return len(value)


def first(value: object) -> Any:
    """The first item; missing when there is none."""
    return next(iter(items_of(value)), _no_item("first"))


def last(value: object) -> Any:
    """The last item; missing when there is none."""
    return next(reversed(items_of(value)), _no_item("last"))


def to_list(value: object) -> list[Any]:
    """The items, the keys of a mapping or the characters of a text, as a list."""
    return items_of(value)


def items(value: object) -> list[list[Any]]:
    """The pairs of a mapping: `{% for key, value in obj.labels | items %}`."""
    return [[key, item] for key, item in _mapping(value).items()]


def dictsort(value: object, case_sensitive: bool = False, by: str = "key", reverse: bool = False) -> list[list[Any]]:
    """The pairs of a mapping sorted `by` "key" or "value"."""
    if by not in ("key", "value"):
        raise UnfitValue('dictsort sorts by "key" or "value"')
    key = _folding(case_sensitive)
    position = 0 if by == "key" else 1
    return sorted(items(value), key=lambda pair: key(pair[position]), reverse=reverse)


def sort(
    value: object, reverse: bool = False, case_sensitive: bool = False, attribute: str | int | None = None
) -> list[Any]:
    """The items in order; with `attribute`, by that key of each item (several with commas between them)."""
    key = _folding(case_sensitive)
    paths: list[str | int | None] = [*attribute.split(",")] if isinstance(attribute, str) else [attribute]
    return sorted(items_of(value), key=lambda item: [key(_pick(item, path)) for path in paths], reverse=reverse)


def unique(value: object, case_sensitive: bool = False, attribute: str | int | None = None) -> list[Any]:
    """The items without repetitions, in their order; with `attribute`, one per value of that key."""
    key, seen, kept = _folding(case_sensitive), set(), []
    for item in items_of(value):
        mark = key(_pick(item, attribute))
        if mark not in seen:
            seen.add(mark)
            kept.append(item)
    return kept


def minimum(value: object, case_sensitive: bool = False, attribute: str | int | None = None) -> Any:
    """The least item; missing when there is none."""
    key = _folding(case_sensitive)
    return min(items_of(value), key=lambda item: key(_pick(item, attribute)), default=_no_item("least"))


def maximum(value: object, case_sensitive: bool = False, attribute: str | int | None = None) -> Any:
    """The greatest item; missing when there is none."""
    key = _folding(case_sensitive)
    return max(items_of(value), key=lambda item: key(_pick(item, attribute)), default=_no_item("greatest"))


def total(value: object, attribute: str | int | None = None, start: float = 0) -> Any:
    """The numbers added up, from `start`; with `attribute`, that key of each item."""
    numbers = _picked(items_of(value), attribute)
    for number in (start, *numbers):
        if not isinstance(number, int | float):
            raise UnfitValue(f"sum adds numbers, not {kind_of(number)}")
    return sum(numbers, start)


def _picked(values: list[Any], attribute: str | int | None) -> list[Any]:
    return values if attribute is None else [_pick(item, attribute) for item in values]


def _pick(item: object, attribute: str | int | None) -> Any:
    if attribute is None:
        return item
    found = look_up_path(item, attribute)
    if isinstance(found, Undefined):
        str(found)  # raises, with the name of the key
    return found


def _folding(case_sensitive: bool) -> Key:
    """A key for comparing: texts without regard to case, unless asked."""
    if case_sensitive:
        return lambda value: value
    return lambda value: value.lower() if isinstance(value, str) else value


def _mapping(value: object) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise UnfitValue(f"a mapping is needed here, not {kind_of(value)}")
    return value


def _no_item(which: str) -> Missing:
    return missing_key(f"the {which} item of an empty list")
