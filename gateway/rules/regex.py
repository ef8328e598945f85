"""Regular expressions that cannot be made to run for ever.

With the optional package ``google-re2`` they run in linear time. Without it, Python's own engine
runs only patterns whose worst case is known to be tame, on the first :data:`MOST_CHARACTERS` of a text.
"""

from __future__ import annotations

import math
import re
import warnings
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as sre_parser  # type: ignore[attr-defined]
from typing import Any, Protocol

try:
    import re2  # type: ignore[import-untyped,import-not-found,unused-ignore]
except ImportError:
    re2 = None

MOST_CHARACTERS = 1024
"""Python's engine looks at no more of a text than this."""

HIGHEST_DEGREE = 2
"""Work may grow with the square of the text's length, not faster."""

MOST_CHOICES = 3.0
"""Powers of ten of ways to split a piece of fixed length."""

WIDE = 32
"""A repeat whose bounds are further apart than this counts as unbounded."""

HOPELESS = 99

RE2_MEMORY = 64 << 20
"""Bytes RE2 may use for one pattern; it takes them only as a text needs them."""

_ANCHORS = [(sre.AT, sre.AT_BEGINNING), (sre.AT, sre.AT_BEGINNING_STRING)]
_REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT)


class PatternError(ValueError):
    """A regular expression is wrong, or could be made to run too long."""


class Pattern(Protocol):
    """A compiled regular expression."""

    def search(self, text: str) -> bool:
        """Whether it is found anywhere in ``text``."""

    def match(self, text: str) -> bool:
        """Whether it fits the beginning of ``text``."""


class _Tame:
    """Python's engine on a pattern found tame."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern)

    def search(self, text: str) -> bool:
        return self._pattern.search(text[:MOST_CHARACTERS]) is not None

    def match(self, text: str) -> bool:
        return self._pattern.match(text[:MOST_CHARACTERS]) is not None


class _Linear:
    """RE2. A set of one pattern avoids the slow match objects of its binding."""

    def __init__(self, pattern: str) -> None:
        options = re2.Options()
        options.log_errors, options.max_mem = False, RE2_MEMORY
        re2.compile(pattern, options)  # whose error says what is wrong, which a set's does not
        self._search, self._match = re2.Set.SearchSet(options), re2.Set.MatchSet(options)
        for compiled in (self._search, self._match):
            compiled.Add(pattern)
            compiled.Compile()

    def search(self, text: str) -> bool:
        return bool(self._search.Match(_encodable(text)))

    def match(self, text: str) -> bool:
        return bool(self._match.Match(_encodable(text)))


def _encodable(text: str) -> str:
    """``text`` as RE2 can take it: halves of a surrogate pair, which no UTF-8 has, become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def compile_pattern(pattern: str) -> Pattern:
    """``pattern``, ready to search and match.

    Raises:
        PatternError: it is no regular expression, or (without RE2) could be made to run too long.
    """
    if re2 is not None:
        try:
            return _Linear(pattern)
        except re2.error as error:
            raise PatternError(f"not a regular expression: {_reason(error)}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # Python will read such a pattern otherwise one day
            worst, tame = degree(pattern), _Tame(pattern)
    except (re.error, FutureWarning, RecursionError, OverflowError) as error:
        raise PatternError(f"not a regular expression: {error}") from None
    if worst > HIGHEST_DEGREE:
        raise PatternError("could be made to run for a very long time; write it simpler, or pip install google-re2")
    return tame


def _reason(error: Exception) -> str:
    reason = error.args[0]
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


def degree(pattern: str) -> float:
    """The power of the text's length that the worst search may cost; :data:`HOPELESS` for exponential.

    Conservative: nested and branching unbounded repeats and back-references are hopeless, each
    unbounded repeat in a row adds one, so does searching from every place.
    """
    tree = sre_parser.parse(pattern)
    power, choices = _worst(tree)
    if power >= HOPELESS or choices > MOST_CHOICES:
        return HOPELESS
    anchored = bool(tree.data) and tree.data[0] in _ANCHORS
    return power if anchored else power + 1


def _worst(sequence: Any) -> tuple[float, float]:
    """Of a parsed sequence: its unbounded repeats in a row, and the power of ten of its bounded choices."""
    power = choices = 0.0
    for operator, argument in sequence:
        more, ways = _worst_of(operator, argument)
        power += more
        choices += ways
    return power, choices


def _worst_of(operator: Any, argument: Any) -> tuple[float, float]:
    if operator in _REPEATS:
        return _worst_repeat(*argument)
    if operator is sre.SUBPATTERN:
        return _worst(argument[3])
    if operator in (sre.ASSERT, sre.ASSERT_NOT):
        return _worst(argument[1])
    if operator is sre.BRANCH:
        branches = [_worst(branch) for branch in argument[1]]
        ways = max(ways for _, ways in branches) + math.log10(len(branches)) / 4
        return max(power for power, _ in branches), ways
    if operator is sre.ATOMIC_GROUP:
        return _hopeless_or_free(_worst(argument))
    if operator is sre.POSSESSIVE_REPEAT:
        return _hopeless_or_free(_worst(argument[2]))
    if operator in (sre.GROUPREF, sre.GROUPREF_EXISTS):
        return HOPELESS, 0.0
    return 0.0, 0.0


def _hopeless_or_free(worst: tuple[float, float]) -> tuple[float, float]:
    """What never gives back what it took adds nothing, unless it is hopeless inside."""
    return (HOPELESS, 0.0) if worst[0] >= HOPELESS else (0.0, 0.0)


def _worst_repeat(least: int, most: int, body: Any) -> tuple[float, float]:
    power, choices = _worst(body)
    if most is sre.MAXREPEAT or most - least > WIDE:
        shortest, longest = body.getwidth()
        branches = any(operator is sre.BRANCH for operator, _ in body)
        return (HOPELESS, 0.0) if power or choices or shortest != longest or branches else (1.0, 0.0)
    if power and most > 1:
        return HOPELESS, 0.0
    return power, choices * max(1, most) + math.log10(most - least + 1)
