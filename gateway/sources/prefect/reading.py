"""Reading what came from outside: a value is what it should be, or a complaint says where, and what would be right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from gateway.errors import PayloadError
from gateway.transition import cut

T = TypeVar("T")

LONGEST_NAME = 1_000
"""Characters; what is longer is cut."""

LARGEST_COUNT = 2**31 - 1
MOST_ITEMS = 1_000
"""Of a longer list, the rest is not read."""

MOST_COMPLAINTS = 20

EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Times in between can be told in any zone."""


@dataclass(frozen=True, slots=True)
class Part:
    """One JSON object of several nested ones, which share their complaints.

    What is ``null`` counts as not there. What is wrong reads as not there, too, and is complained of: all that is
    wrong is told at once, by :meth:`check`.
    """

    values: Mapping[str, Any]
    place: str
    complaints: list[str]

    @classmethod
    def whole(cls, value: object, what: str) -> Part:
        """The outermost object.

        Raises:
            PayloadError: it is none.
        """
        if not isinstance(value, Mapping):
            raise PayloadError([f"{what} is {_kind(value)}; right is an object"])
        return cls(value, "", [])

    def check(self) -> None:
        """Raise a :class:`PayloadError` if anything was wrong so far."""
        if self.complaints:
            raise PayloadError([*dict.fromkeys(self.complaints)][:MOST_COMPLAINTS])

    def complain(self, key: str, what: str) -> None:
        """Note that the value at ``key`` is not right."""
        self.complaints.append(f"{self._at(key)}: {what}")

    def has(self, key: str) -> bool:
        """Whether there is anything at ``key``."""
        return self.values.get(key) is not None

    def text(self, key: str, *, needed: bool = False, longest: int = LONGEST_NAME) -> str:
        """The text at ``key``, cut to ``longest`` characters; ``""`` if there is none."""
        value = self.values.get(key)
        if type(value) is str:
            text = whole_characters(value[:longest])
            if needed and not text:
                self.complain(key, "is empty")
            return text
        return self._wrong(key, value, "text", "", needed)

    def message(self, key: str) -> str | None:
        """The text for people at ``key``, as much of it as is kept; ``None`` if there is none."""
        value = self.values.get(key)
        if type(value) is str:
            return cut(whole_characters(value)) or None
        return self._wrong(key, value, "text", None)

    def count(self, key: str) -> int:
        """The whole number at ``key``; in quotes, as Prefect's labels are, is right as well. 0 if there is none."""
        value = self.values.get(key)
        if type(value) is str and value.isascii() and value.isdigit() and len(value) <= 10:
            value = int(value)
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is int and 0 <= value <= LARGEST_COUNT:
            return value
        return self._wrong(key, value, f"a whole number from 0 to {LARGEST_COUNT}", 0)

    def instant(self, key: str, *, needed: bool = False) -> datetime | None:
        """The time at ``key`` in UTC; one without a zone is in UTC already. ``None`` if there is none."""
        value = self.values.get(key)
        found = _instant(value) if type(value) is str else None
        return found or self._wrong(key, value, 'a time such as "2026-11-22T14:31:56.638596Z"', None, needed)

    def part(self, key: str, *, needed: bool = False) -> Part:
        """The object at ``key``; an empty one if there is none."""
        value = self.values.get(key)
        if isinstance(value, Mapping):
            return Part(value, self._at(key), self.complaints)
        nothing: dict[str, Any] = {}
        return Part(self._wrong(key, value, "an object", nothing, needed), self._at(key), self.complaints)

    def parts(self, key: str) -> Iterator[Part]:
        """The objects in the list at ``key``."""
        for place, item in self._items(key):
            if isinstance(item, Mapping):
                yield Part(item, f"{self._at(key)}[{place}]", self.complaints)
            else:
                self.complain(f"{key}[{place}]", f"is {_kind(item)}; right is an object")

    def texts(self, key: str) -> list[str]:
        """The texts in the list at ``key``."""
        found = []
        for place, item in self._items(key):
            if type(item) is str:
                found.append(whole_characters(item[:LONGEST_NAME]))
            else:
                self.complain(f"{key}[{place}]", f"is {_kind(item)}; right is text")
        return found

    def _items(self, key: str) -> Iterator[tuple[int, Any]]:
        value = self.values.get(key)
        items: list[Any] = value[:MOST_ITEMS] if type(value) is list else self._wrong(key, value, "a list", [])
        return enumerate(items)

    def _wrong(self, key: str, value: object, right: str, instead: T, needed: bool = False) -> T:
        """``instead``, and a complaint unless ``value`` may be missing and is."""
        if value is None and needed:
            self.complain(key, f"is missing; right is {right}")
        elif value is not None:
            self.complain(key, f"is {_kind(value)}; right is {right}")
        return instead

    def _at(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key


def whole_characters(text: str) -> str:
    """``text`` with a question mark for each half of a character, which JSON can hold and no UTF-8 can."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _instant(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if EARLIEST <= found <= LATEST else None


_KINDS: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def _kind(value: object) -> str:
    """What ``value`` is to JSON; nothing of its content, which may be secret."""
    return _KINDS.get(type(value), f"of type {type(value).__name__[:100]}")
