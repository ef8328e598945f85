"""Guesses at what a misspelt word was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LIKENESS = 0.6


def nearest(word: str, options: Iterable[str]) -> str | None:
    """The option most like ``word``, whatever its case; ``None`` when none is close."""
    by_lower = {option.lower(): option for option in options}
    matches = difflib.get_close_matches(word.lower()[:100], by_lower, 1, _LIKENESS)
    return by_lower[matches[0]] if matches else None


def no_such(kind: str, name: str, options: Iterable[str]) -> str:
    """That there is no ``kind`` called ``name``, and which was probably meant."""
    known = sorted(options)
    hint = nearest(name, known)
    if hint:
        return f"there is no {kind} {name!r}; did you mean {hint!r}?"
    return f"there is no {kind} {name!r}; there are {', '.join(known) or 'none'}"
