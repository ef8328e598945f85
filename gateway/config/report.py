"""Reports: problems as text for people, each with the line it is about and a mark below the place."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from gateway.config.source import Problem

_WIDEST = 120
_SECRET_KEYS = ("url", "token", "signature", "auth", "key")
_SECRET = re.compile(rf"""(\b(?:{"|".join(_SECRET_KEYS)})["']?\s*=\s*)(?!\{{)\S.*|(://)[^\s"']+""")
_TEXT = re.compile(r"""(=\s*)["'].*""")
_WITH_SECRETS = ("channel.", "gateway.", "server.", "source.prefect.", "store.")


def write_problems(problems: Iterable[Problem], texts: Mapping[str, str]) -> str:
    """All ``problems``, one below the other.

    Args:
        problems: what to tell.
        texts: the texts of the files they are about, as far as they are known.

    Addresses, tokens and passwords in the lines shown are masked, and texts that unknown keys beside them hold.
    """
    return "".join(_entry(problem, texts.get(problem.file)) for problem in problems)


def _entry(problem: Problem, text: str | None) -> str:
    headline = f"{problem.position}: {problem.severity}: {problem.text}\n"
    if text is None or not problem.line:
        return headline
    lines = text.split("\n")
    if problem.line > len(lines):
        return headline
    return headline + _excerpt(problem, lines[problem.line - 1])


def _excerpt(problem: Problem, line: str) -> str:
    """The line, cut to a window around the place if it is long, and a caret below the place."""
    start = max(0, problem.column - _WIDEST) if len(line) > _WIDEST else 0
    shown = "".join(map(_printable, _masked(line, problem)[start : start + _WIDEST]))
    margin = f"{problem.line:>5} | "
    gap = "".join(map(_blank, shown[: problem.column - 1 - start]))
    return f"{margin}{shown}\n{' ' * (len(margin) - 2)}| {gap}^\n"


def _masked(line: str, problem: Problem) -> str:
    """The line with as many asterisks in place of what may be secret."""
    key = problem.key.rpartition(".")[2]
    if key in _SECRET_KEYS and key not in line and not line.lstrip().startswith("["):
        # A later line of an address written over several.
        return "*" * len(line)
    is_unknown = problem.message.startswith("unknown key") and problem.key.startswith(_WITH_SECRETS)
    return (_TEXT if is_unknown else _SECRET).sub(_starred, line)


def _starred(found: re.Match[str]) -> str:
    """What was found, with asterisks behind the group that matched."""
    start = found[found.lastindex or 0]
    return f"{start}{'*' * (len(found[0]) - len(start))}"


def _printable(character: str) -> str:
    return character if character.isprintable() or character == "\t" else "\N{REPLACEMENT CHARACTER}"


def _blank(character: str) -> str:
    """As wide as ``character`` on a terminal."""
    if character == "\t":
        return "\t"
    return "  " if unicodedata.east_asian_width(character) in "WF" else " "
