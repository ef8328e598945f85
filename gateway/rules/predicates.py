"""The table of tests (``x is NAME``) that ``when`` and templates share: predicates on states, and the stock ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from numbers import Number
from typing import Any, Literal

from jinja2 import Undefined

from gateway.rules.regex import Pattern, compile_pattern
from gateway.rules.schema import STATE_MODEL, Ty
from gateway.states import PREDICATES, State

Scope = Literal["anything", "state", "data", "text"]


@dataclass(frozen=True, slots=True)
class Test:
    """A test.

    Attributes:
        name: what it is called by.
        function: called with the value and the arguments; never raises for a missing value or none.
        doc: what it means, for the reference.
        scope: what it can be asked of: any value, states, data (no states), or text.
        min_args: how many arguments it needs beside the value.
        max_args: how many it can take.
        code: the Python of ``when`` for it, a format of the value ``{0}``; empty means a call of ``function``.
    """

    name: str
    function: Callable[..., bool]
    doc: str
    scope: Scope = "data"
    min_args: int = 0
    max_args: int = 0
    code: str = ""

    def takes(self, ty: Ty) -> bool:
        """Whether it can be asked of a value of that type."""
        if self.scope == "state":
            return ty.model is STATE_MODEL
        if self.scope == "text":
            return ty.name in ("str", "any")
        return self.scope == "anything" or ty.name != "model"


def _of_state(name: str, doc: str) -> Test:
    types = PREDICATES[name]
    return Test(
        name,
        lambda state: isinstance(state, State) and state.type in types,
        doc,
        "state",
        code=f"({{0}}.type in _{name.upper()})",
    )


def _comparison(name: str, holds: Callable[[Any, Any], Any], doc: str) -> Test:
    return Test(name, lambda value, other: bool(holds(value, other)), doc, min_args=1, max_args=1)


def _is_number(value: object) -> bool:
    return isinstance(value, Number)


def _searched(value: object, pattern: str) -> bool:
    return isinstance(value, str) and known_pattern(pattern).search(value)


def _matched(value: object, pattern: str) -> bool:
    return isinstance(value, str) and known_pattern(pattern).match(value)


def _globbed(value: object, glob: str) -> bool:
    return isinstance(value, str) and known_glob(glob)(value) is not None


@lru_cache(1024)
def known_pattern(pattern: str) -> Pattern:
    """``pattern``, compiled once."""
    return compile_pattern(pattern)


@lru_cache(1024)
def known_glob(glob: str) -> Callable[[str], re.Match[str] | None]:
    """What matches a whole name against ``glob`` (``*``, ``?``, ``[…]``); upper and lower case differ."""
    return re.compile(translate(glob)).match


_DIVISIBLE = Test(
    "divisibleby",
    lambda value, by: bool(by) and value % by == 0,
    "the number divides evenly by the argument",
    min_args=1,
    max_args=1,
)

TESTS: Mapping[str, Test] = {
    test.name: test
    for test in (
        *(
            _of_state(name, (getattr(State, f"is_{name}").__doc__ or "").strip().rstrip(".").lower())
            for name in PREDICATES
        ),
        Test(
            "final",
            lambda state: isinstance(state, State) and state.is_final(),
            "finished, and no retry will follow as far as is known",
            "state",
            code="{0}.is_final()",
        ),
        Test("none", lambda value: value is None, "there is no value", "anything", code="({0} is None)"),
        Test(
            "defined",
            lambda value: not isinstance(value, Undefined),
            "the key is there",
            "anything",
            code="(not isinstance({0}, _Undefined))",
        ),
        Test(
            "undefined",
            lambda value: isinstance(value, Undefined),
            "the key is not there",
            "anything",
            code="isinstance({0}, _Undefined)",
        ),
        Test("string", lambda value: isinstance(value, str), "is text", code="isinstance({0}, str)"),
        Test("number", _is_number, "is a number; true and false count"),
        Test("integer", lambda value: isinstance(value, int) and not isinstance(value, bool), "is a whole number"),
        Test("float", lambda value: isinstance(value, float), "is a number with a fraction"),
        Test("boolean", lambda value: isinstance(value, bool), "is true or false"),
        Test("true", lambda value: value is True, "is exactly true"),
        Test("false", lambda value: value is False, "is exactly false"),
        Test("mapping", lambda value: isinstance(value, Mapping), "has keys"),
        Test("sequence", lambda value: isinstance(value, Sequence), "is a list or text"),
        Test(
            "iterable",
            lambda value: isinstance(value, Iterable) and not isinstance(value, Undefined),
            "can be looped over",
        ),
        Test("even", lambda value: value % 2 == 0, "is an even number"),
        Test("odd", lambda value: value % 2 == 1, "is an odd number"),
        _DIVISIBLE,
        Test("lower", lambda value: str(value).islower(), "has small letters only", "text"),
        Test("upper", lambda value: str(value).isupper(), "has capital letters only", "text"),
        _comparison("eq", lambda value, other: value == other, "equals the argument"),
        _comparison("ne", lambda value, other: value != other, "differs from the argument"),
        _comparison("lt", lambda value, other: value < other, "is less than the argument"),
        _comparison("le", lambda value, other: value <= other, "is at most the argument"),
        _comparison("gt", lambda value, other: value > other, "is more than the argument"),
        _comparison("ge", lambda value, other: value >= other, "is at least the argument"),
        _comparison("in", lambda value, other: value in other, "is one of the argument's items, or part of its text"),
        Test("search", _searched, "the regular expression is found in the text", "text", 1, 1),
        Test("match", _matched, "the regular expression fits the beginning of the text", "text", 1, 1),
        Test("glob", _globbed, "the whole text fits the glob: `*`, `?`, `[…]`", "text", 1, 1),
    )
}
"""Every test by its name."""
