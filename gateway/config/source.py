"""Where something stands in the configuration, and what is wrong with it there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gateway.config.outline import KeyPath, Lines, Outline, offset_inside, outline

__all__ = ["KeyPath", "Position", "Problem", "ProblemSeverity", "SourceFile", "key_text"]

ProblemSeverity = Literal["error", "warning"]
"""``error``: the configuration is refused. ``warning``: it runs, and probably not as meant."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file. Line and column count from 1; both are 0 for the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about the configuration. Holds no value that could be a secret.

    Attributes:
        severity: see :data:`ProblemSeverity`.
        file: the path as it was given on the command line, joined with the file's name.
        line: from 1; 0 when the finding is about the whole file or folder.
        column: from 1 (in characters); 0 with line 0.
        key: which key, as TOML would write it: ``channel.oncall.url``; ``""`` when it is about none.
        message: what is wrong, and what would be right where that is not a plain replacement.
        hint: the replacement to suggest, if there is one.
    """

    severity: ProblemSeverity
    file: str
    line: int
    column: int
    key: str
    message: str
    hint: str | None = None

    @property
    def position(self) -> Position:
        """Where it is."""
        return Position(self.file, self.line, self.column)

    @property
    def text(self) -> str:
        """The finding without its place and severity."""
        suggestion = f" (did you mean {self.hint!r}?)" if self.hint else ""
        return f"{self.key}: {self.message}{suggestion}" if self.key else f"{self.message}{suggestion}"

    def __str__(self) -> str:
        return f"{self.position}: {self.text}"


class SourceFile:
    """One file of the configuration: its path as shown to people, and its text.

    Positions are worked out when one is first asked for.
    """

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text.replace("\r\n", "\n")

    def locate(self, path: KeyPath, *, key: bool = False) -> Position:
        """Where the value of ``path`` starts (``key``: where its key starts); of its nearest parent if it is not there.

        A table starts at its header.
        """
        spans = self.outline.spans
        for length in range(len(path), 0, -1):
            span = spans.get(path[:length])
            if span is not None:
                return self.position(span.key if key and length == len(path) else span.start)
        return self.position(0)

    def locate_in(self, path: KeyPath, line: int, column: int) -> Position:
        """Where in the file a place (1-based) inside the text at ``path`` is written, escapes and line ends considered.

        The start of the value if it is not a text.
        """
        span = self.outline.spans.get(path)
        if span is None or self.text[span.start : span.start + 1] not in ('"', "'"):
            return self.locate(path)
        return self.position(span.start + offset_inside(self.text[span.start : span.end], line, column))

    def position(self, offset: int) -> Position:
        """The place of the character at ``offset``."""
        return Position(self.path, *self._lines.place(offset))

    @cached_property
    def outline(self) -> Outline:
        """Where everything in this file stands."""
        return outline(self.text)

    @cached_property
    def _lines(self) -> Lines:
        return Lines(self.text)


def key_text(path: Sequence[str | int]) -> str:
    """A path as people write it: ``channel."on call".url``; elements of lists count from 1: ``handler#2.when``."""
    parts = [f"#{part + 1}" if isinstance(part, int) else f".{_quoted(part)}" for part in path]
    return "".join(parts).removeprefix(".")


def _quoted(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=not name.isprintable())
