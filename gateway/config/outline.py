"""The outline of a TOML text: where every key and value of it stands.

``tomllib`` reads values and forgets their places. This scanner is the other half: it reads no values
and remembers places. It expects a text that ``tomllib`` accepted and runs only when a problem has to
be shown, so that the good path pays nothing for it.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

KeyPath = tuple[str | int, ...]
"""Keys and list positions (from 0) that lead to a value: ``("handler", 0, "to", 1)``."""

_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"[ \t\n]*(?:#[^\n]*[ \t\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_STRING = re.compile(
    r'''"""[^"\\]*(?:(?:\\.|""?(?!"))[^"\\]*)*"{3,5}'''
    r"""|'''[^']*(?:''?(?!')[^']*)*'{3,5}"""
    r'''|"(?!"")(?:[^"\\\n]|\\.)*"'''
    r"""|'(?!'')[^'\n]*'""",
    re.DOTALL,
)
_SCALAR = re.compile(r"\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]+|[^\s,\]}#]+")
_CHARACTER = re.compile(r"\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8}|(?P<joint>\\[ \t]*\n[ \t\n]*)|\\.|.", re.DOTALL)
_NEWLINES = frozenset({"\n", r"\n", r"\u000a", r"\u000A", r"\U0000000a", r"\U0000000A"})


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of one entry: where its key starts, and where its value (for a table: its header) starts and ends."""

    key: int
    start: int
    end: int


@dataclass(slots=True)
class Outline:
    """Where everything of a text stands.

    Attributes:
        spans: each path's place; tables that exist only as part of a longer name stand where that first occurs.
        repeated: paths declared a second time, with the offset of that second key. Empty for a valid text.
        lost_at: the offset from which on the text could not be followed; ``None`` for a valid text.
    """

    spans: dict[KeyPath, Span] = field(default_factory=dict)
    repeated: list[tuple[KeyPath, int]] = field(default_factory=list)
    lost_at: int | None = None


def outline(text: str) -> Outline:
    """The outline of ``text``; of one that is not valid TOML, as far as it can be followed."""
    scanner = _Scanner(text)
    try:
        scanner.scan()
    except (_Lost, IndexError, RecursionError):
        scanner.outline.lost_at = scanner.at
    return scanner.outline


class _Lost(Exception):
    """The text is not TOML from here on."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.outline = Outline()
        self._declared: set[KeyPath] = set()
        self._lengths: dict[KeyPath, int] = {}

    def scan(self) -> None:
        table: KeyPath = ()
        self._take(_GAP)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._take(_GAP)

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise _Lost
        self.at = found.end()
        return found.group()

    def _header(self) -> KeyPath:
        start, brackets = self.at, 2 if self.text.startswith("[[", self.at) else 1
        self.at += brackets
        *parents, (name, key_at) = self._dotted_key()
        self.at += brackets
        table: KeyPath = ()
        for parent, parent_at in parents:
            table = (*table, parent)
            self._mention(table, parent_at)
            table = self._last_element(table)
        table = (*table, name)
        if brackets == 2:
            self._mention(table, key_at)
            self._lengths[table] = self._lengths.get(table, 0) + 1
            table = self._last_element(table)
        self._declare(table, key_at)
        self._place(table, Span(key_at, start, self.at))
        return table

    def _last_element(self, table: KeyPath) -> KeyPath:
        length = self._lengths.get(table)
        return table if length is None else (*table, length - 1)

    def _dotted_key(self) -> list[tuple[str, int]]:
        parts = []
        while True:
            self._take(_BLANK)
            at = self.at
            parts.append((_key_name(self._take(_KEY)), at))
            self._take(_BLANK)
            if self.text[self.at] != ".":
                return parts
            self.at += 1

    def _pair(self, table: KeyPath) -> None:
        *parents, (name, key_at) = self._dotted_key()
        for parent, parent_at in parents:
            table = (*table, parent)
            self._mention(table, parent_at)
        if self.text[self.at] != "=":
            raise _Lost
        self.at += 1
        self._take(_BLANK)
        self._value((*table, name), key_at)

    def _value(self, path: KeyPath, key_at: int) -> None:
        start = self.at
        self._declare(path, key_at)
        match self.text[start]:
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._take(_STRING)
            case _:
                self._take(_SCALAR)
        self._place(path, Span(key_at, start, self.at))

    def _array(self, path: KeyPath) -> None:
        self.at += 1
        self._take(_GAP)
        count = 0
        while self.text[self.at] != "]":
            self._value((*path, count), self.at)
            count += 1
            self._separator()
        self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        self._take(_GAP)
        while self.text[self.at] != "}":
            self._pair(path)
            self._separator()
        self.at += 1

    def _separator(self) -> None:
        self._take(_GAP)
        if self.text[self.at] == ",":
            self.at += 1
            self._take(_GAP)
        elif self.text[self.at] not in "]}":
            raise _Lost

    def _mention(self, path: KeyPath, key_at: int) -> None:
        if path not in self.outline.spans:
            self.outline.spans[path] = Span(key_at, key_at, key_at)

    def _declare(self, path: KeyPath, key_at: int) -> None:
        if path in self._declared:
            self.outline.repeated.append((path, key_at))
        self._declared.add(path)

    def _place(self, path: KeyPath, span: Span) -> None:
        """Set the place of a declared entry, over that of a mere mention. The first declaration keeps its place."""
        known = self.outline.spans.get(path)
        if known is None or known.end == known.key:
            self.outline.spans[path] = span


def _key_name(raw: str) -> str:
    if raw[0] not in "\"'":
        return raw
    if "\\" not in raw:
        return raw[1:-1]
    try:
        return next(iter(tomllib.loads(f"{raw} = 0")))
    except tomllib.TOMLDecodeError:
        raise _Lost from None


def offset_inside(literal: str, line: int, column: int) -> int:
    """The offset in a string's TOML ``literal`` of a place (both from 1) in the text it stands for.

    Places past the end of a line or of the text are moved to that end.
    """
    offsets, line_starts = [], [0]
    for offset, character in _characters(literal):
        offsets.append(offset)
        if character in _NEWLINES:
            line_starts.append(len(offsets))
    offsets.append(len(literal) - _quote_length(literal))
    line = min(max(line, 1), len(line_starts))
    line_end = line_starts[line] - 1 if line < len(line_starts) else len(offsets) - 1
    return offsets[min(line_starts[line - 1] + max(column, 1) - 1, line_end)]


def _characters(literal: str) -> Iterator[tuple[int, str]]:
    """The characters of a string as they are written, with their offsets; what stands for nothing is left out."""
    quote = _quote_length(literal)
    start, end = quote, len(literal) - quote
    if quote == 3 and literal[start] == "\n":
        start += 1
    if literal[0] == "'":
        yield from ((at, literal[at]) for at in range(start, end))
        return
    for found in _CHARACTER.finditer(literal, start, end):
        if not found["joint"]:
            yield found.start(), found.group()


def _quote_length(literal: str) -> int:
    return 3 if literal[:3] in ('"""', "'''") and len(literal) >= 6 else 1


class Lines:
    """The lines of a text, to tell 1-based line and column of an offset."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of ``offset``, both from 1."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1
