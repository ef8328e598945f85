"""Documents: files of the configuration as parsed TOML, or what keeps them from being that.

``tomllib`` stops at the first mistake of a file; its terse words are translated here into what to do.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gateway.config.source import Problem, SourceFile, key_text

MOST_PARTS = 64
"""Of a dotted key. tomllib's time grows with their square; a file of one key would stop us for hours."""

_TOO_MANY_PARTS = re.compile(r"(?<![\w-])(?:(?:[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')[ \t]*+\.[ \t]*+)" f"{{{MOST_PARTS}}}")

_COORDINATES = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_WORD = re.compile(r"[^\s,\]}#]*")


@dataclass(frozen=True, slots=True)
class Document:
    """One file: ``tables`` is what it says, empty if ``problem`` keeps it from being understood."""

    source: SourceFile
    tables: dict[str, Any] = field(default_factory=dict)
    problem: Problem | None = None


class Documents:
    """Parsed files, kept from one load to the next: a file whose text did not change is not parsed again."""

    def __init__(self) -> None:
        self._by_path: dict[str, Document] = {}

    def read(self, path: str, text: str) -> Document:
        """The document of ``text``."""
        document = self._by_path.get(path)
        if document is None or document.source.text != text:
            document = self._by_path[path] = parse_document(SourceFile(path, text))
        return document

    def keep(self, paths: Iterable[str]) -> None:
        """Forget every file but these."""
        self._by_path = {path: self._by_path[path] for path in paths if path in self._by_path}


def parse_document(source: SourceFile) -> Document:
    """Parse one file; time and memory are bounded by its size, whatever it holds."""
    endless = _endless_key(source.text)
    if endless is not None:
        return _broken(source, endless, f"a key has more than {MOST_PARTS} parts joined by dots")
    try:
        return Document(source, tomllib.loads(source.text))
    except tomllib.TOMLDecodeError as error:
        return _syntax_problem(source, str(error))
    except RecursionError:
        return _broken(source, 0, "lists or tables are nested too deeply")
    except ValueError:
        # The one other thing tomllib lets out: Python's own limit on the digits of a number.
        return _broken(source, 0, "a number has too many digits")


def _endless_key(text: str) -> int | None:
    """Where a key of too many parts starts. Lines are counted before they are searched, which is slow."""
    start = 0
    for line in text.split("\n"):
        if line.count(".") >= MOST_PARTS and (found := _TOO_MANY_PARTS.search(line)):
            return start + found.start()
        start += len(line) + 1
    return None


def _broken(source: SourceFile, offset: int, message: str, key: str = "", hint: str | None = None) -> Document:
    place = source.position(offset)
    return Document(source, problem=Problem("error", place.file, place.line, place.column, key, message, hint))


def _syntax_problem(source: SourceFile, complaint: str) -> Document:
    """Our words for tomllib's ``complaint``, which ends with where it gave up."""
    found = _COORDINATES.search(complaint)
    reason = complaint[: found.start()] if found else complaint
    offset = _offset(source.text, found)
    if reason.startswith(_REPEATS):
        return _repetition(source, offset, reason)
    if reason.startswith(_UNCLOSED):
        return _unclosed(source, offset)
    message, hint = _advice(reason, source.text, offset)
    return _broken(source, offset, message, hint=hint)


def _offset(text: str, coordinates: re.Match[str] | None) -> int:
    if coordinates is None or coordinates[1] is None:
        return len(text.rstrip())
    line_start = 0
    for _ in range(int(coordinates[1]) - 1):
        line_start = text.index("\n", line_start) + 1
    return line_start + int(coordinates[2]) - 1


_REPEATS = (
    "Cannot declare",
    "Cannot overwrite",
    "Cannot mutate immutable namespace",
    "Cannot redefine namespace",
    "Duplicate inline table key",
)


_UNCLOSED = ("Unterminated string", "Expected \"'", r"Illegal character '\n'", r"Found invalid character '\n'")


def _repetition(source: SourceFile, offset: int, reason: str) -> Document:
    """A key or table that stands twice in one file: both places are named."""
    for path, second in source.outline.repeated:
        first = source.locate(path, key=True)
        return _broken(source, second, f"stands twice, first on line {first.line}", key_text(path))
    return _broken(source, offset, f"{reason[0].lower()}{reason[1:]}")


def _unclosed(source: SourceFile, offset: int) -> Document:
    """A text without an end is told where it starts: tomllib says where it gave up, often the end of the file."""
    start = source.outline.lost_at
    return _broken(source, offset if start is None else start, "the text is not closed: its quote is missing")


def _advice(reason: str, text: str, offset: int) -> tuple[str, str | None]:
    """What to do about ``reason``, and a replacement if one is certain. Never shows a value: it may be a secret."""
    word = _WORD.match(text, offset)
    found = word.group() if word else ""
    match reason:
        case "Invalid value" if found.lower() in ("true", "false"):
            return "true and false are written in small letters", found.lower()
        case "Invalid value" if found.lower() in ("none", "null", "nil"):
            return "there is no null: leave the key out", None
        case "Invalid value" if found:
            return "not a value: text must stand in quotes", None
        case "Invalid value":
            return "the value is missing", None
        case "Expected '=' after a key in a key/value pair" if text[offset : offset + 1] == ":":
            return "key and value are joined by '=', not by ':'", None
        case "Expected '=' after a key in a key/value pair":
            return "expected '=' and a value after the key", None
        case "Unescaped '\\' in a string":
            return (
                "'\\' starts an escape in double quotes: write the text in single quotes, or '\\\\' for one '\\'",
                None,
            )
        case "Unclosed array":
            return "the list is not closed: a ',' or ']' is missing", None
        case "Unclosed inline table":
            return "the table in braces is not closed: a ',' or '}' is missing", None
        case "Invalid initial character for a key part":
            return "expected a key; a table in braces stands on one line, without a ',' before its '}'", None
        case "Expected newline or end of document after a statement":
            return "the line should end here; a text with quotes in it is written in the other kind of quotes", None
    return f"{reason[0].lower()}{reason[1:]}", None
