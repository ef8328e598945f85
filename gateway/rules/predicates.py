"""The table of tests (``x is NAME``) that ``when`` and templates share: predicates on states, and the stock ones."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Any, Literal

from jinja2 import Undefined

from gateway.rules.regex import Pattern, compile_pattern
from gateway.rules.schema import STATE_MODEL, Ty, TypeName
from gateway.states import PREDICATES, State

Scope = Literal["anything", "state", "data", "text", "number"]

WANTED: Mapping[Scope, str] = {
    "anything": "a value",
    "state": "a state",
    "data": "data",
    "text": "text",
    "number": "a number",
}
_TEXT: frozenset[TypeName] = frozenset({"str", "any"})
_NUMBER: frozenset[TypeName] = frozenset({"int", "float", "bool", "any"})


@dataclass(frozen=True, slots=True)
class Test:
    """A test.

    Attributes:
        name: what it is called by.
        function: called with the value and the arguments; never raises for a missing value or none.
        doc: what it means, for the reference.
        scope: what it can be asked of: any value, states, data (no states), text, or numbers.
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

    @property
    def wanted(self) -> str:
        """What it can be asked of, in words."""
        return WANTED[self.scope]

    def takes(self, ty: Ty) -> bool:
        """Whether it can be asked of a value of that type."""
        if self.scope == "state":
            return ty.model is STATE_MODEL
        if self.scope == "text":
            return ty.name in _TEXT
        if self.scope == "number":
            return ty.name in _NUMBER
        return self.scope == "anything" or ty.name != "model"


@lru_cache(1024)
def known_pattern(pattern: str) -> Pattern:
    """``pattern``, compiled once."""
    return compile_pattern(pattern)


@lru_cache(1024)
def known_glob(glob: str) -> Callable[[str], re.Match[str] | None]:
    """What matches a whole name against ``glob`` (``*``, ``?``, ``[…]``); upper and lower case differ."""
    return re.compile(translate(glob)).match


def is_in(value: Any, container: Any) -> bool:
    """Whether ``container`` holds ``value``; what is not there is in nothing, and what can hold nothing does not."""
    if isinstance(container, str):
        return isinstance(value, str) and value in container
    return isinstance(container, dict | list | tuple) and not isinstance(value, Undefined) and value in container


def _searched(value: object, pattern: str) -> bool:
    return isinstance(value, str) and known_pattern(pattern).search(value)


def _matched(value: object, pattern: str) -> bool:
    return isinstance(value, str) and known_pattern(pattern).match(value)


def _globbed(value: object, glob: str) -> bool:
    return isinstance(value, str) and known_glob(glob)(value) is not None


def _is_divisible(value: object, by: object) -> bool:
    return isinstance(value, int | float) and isinstance(by, int | float) and bool(by) and value % by == 0


def _is_remainder(remainder: int) -> Callable[[object], bool]:
    return lambda value: isinstance(value, int | float) and value % 2 == remainder


def _of_type(*types: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, types)


def _ordered(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    """A comparison by order: what is not there, and none, have none."""

    def holds(value: Any, other: Any) -> bool:
        missing = value is None or other is None or isinstance(value, Undefined) or isinstance(other, Undefined)
        return not missing and bool(compare(value, other))

    return holds


def _state_tests() -> list[Test]:
    return [_state_test(name, types) for name, types in PREDICATES.items()] + [_FINAL]


def _state_test(name: str, types: frozenset[str]) -> Test:
    doc = (getattr(State, f"is_{name}").__doc__ or "").strip().rstrip(".").lower()
    code = f"({{0}}.type in _{name.upper()})"
    return Test(name, lambda state: isinstance(state, State) and state.type in types, doc, "state", code=code)


_FINAL = Test(
    "final",
    lambda state: isinstance(state, State) and state.is_final(),
    "finished, and no retry will follow as far as is known",
    "state",
    code="{0}.is_final()",
)


def _presence_tests() -> list[Test]:
    there, absent = "(not isinstance({0}, _Undefined))", "isinstance({0}, _Undefined)"
    return [
        Test("none", lambda value: value is None, "there is no value", "anything", code="({0} is None)"),
        Test("defined", lambda value: not isinstance(value, Undefined), "the key is there", "anything", code=there),
        Test("undefined", lambda value: isinstance(value, Undefined), "the key is not there", "anything", code=absent),
    ]


def _type_tests() -> list[Test]:
    return [
        Test("string", _of_type(str), "is text", code="isinstance({0}, str)"),
        Test("number", _of_type(int, float), "is a number; true and false count"),
        Test("integer", lambda value: type(value) is int, "is a whole number"),
        Test("float", _of_type(float), "is a number with a fraction"),
        Test("boolean", _of_type(bool), "is true or false"),
        Test("true", lambda value: value is True, "is exactly true"),
        Test("false", lambda value: value is False, "is exactly false"),
        Test("mapping", _of_type(dict), "has keys"),
        Test("sequence", _of_type(list, tuple, str, dict), "has a length: a list, a text or a mapping"),
        Test("iterable", _of_type(list, tuple, str, dict), "can be looped over: a list, a text or a mapping"),
    ]


def _value_tests() -> list[Test]:
    return [
        Test("even", _is_remainder(0), "is an even number", "number"),
        Test("odd", _is_remainder(1), "is an odd number", "number"),
        Test("divisibleby", _is_divisible, "the number divides evenly by the argument", "number", 1, 1),
        Test("lower", lambda value: isinstance(value, str) and value.islower(), "has small letters only", "text"),
        Test("upper", lambda value: isinstance(value, str) and value.isupper(), "has capital letters only", "text"),
        Test("eq", lambda value, other: bool(value == other), "equals the argument", "data", 1, 1),
        Test("ne", lambda value, other: bool(value != other), "differs from the argument", "data", 1, 1),
        Test("lt", _ordered(operator.lt), "is less than the argument", "data", 1, 1),
        Test("le", _ordered(operator.le), "is at most the argument", "data", 1, 1),
        Test("gt", _ordered(operator.gt), "is more than the argument", "data", 1, 1),
        Test("ge", _ordered(operator.ge), "is at least the argument", "data", 1, 1),
        Test("in", is_in, "is one of the argument's items, or part of its text", "data", 1, 1),
        Test("search", _searched, "the regular expression is found in the text", "text", 1, 1),
        Test("match", _matched, "the regular expression fits the beginning of the text", "text", 1, 1),
        Test("glob", _globbed, "the whole text fits the glob: `*`, `?`, `[…]`", "text", 1, 1),
    ]


TESTS: Mapping[str, Test] = {
    test.name: test for group in (_state_tests, _presence_tests, _type_tests, _value_tests) for test in group()
}
"""Every test by its name."""
