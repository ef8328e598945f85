"""Lowered expressions mean what jinja2 says they mean: random expressions, evaluated by both."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gateway.errors import LanguageError
from gateway.rules.expression import compile_value
from gateway.rules.filters import FILTERS
from gateway.rules.lowering import Nothing
from gateway.rules.predicates import TESTS
from gateway.states import State
from gateway.transition import Transition, plain, text_of

_spec = importlib.util.spec_from_file_location("expressions", Path(__file__).parent / "expressions.py")
expressions = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(expressions)

ROUNDS = int(os.environ.get("GATEWAY_FUZZ", "1"))


class Chained(Nothing):
    """What is not there, for jinja2: a method of it is not there either."""

    def __call__(self, *_: object) -> Chained:
        return self


class Reference(ImmutableSandboxedEnvironment):
    """jinja2 itself, reading fields as the language defines them."""

    def __init__(self) -> None:
        super().__init__(undefined=Chained)
        self.tests = {name: test.function for name, test in TESTS.items()}
        self.filters = {name: _null_safe(name, entry.function) for name, entry in FILTERS.items()}

    def getattr(self, obj: Any, attribute: str) -> Any:
        if obj is None:
            return Chained()
        if type(obj) is dict:
            return obj.get(attribute, Chained())
        if isinstance(obj, State) and attribute in ("message", "result"):
            return text_of(obj.message) if attribute == "message" else plain(obj.result)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return Chained() if isinstance(obj, str) else super().getitem(obj, argument)


def _null_safe(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def filtered(value: Any, *arguments: Any) -> Any:
        if name != "default" and (value is None or isinstance(value, Undefined)):
            return Chained()
        return function(value, *arguments)

    return filtered


def outcome(function: Callable[[Any], Any], given: object) -> tuple[str, Any]:
    try:
        value = function(given)
    except Exception as error:
        return "raised", type(error).__name__
    if value is False or isinstance(value, Undefined):
        return "false", None  # a predicate of a state that is not known is false here, nothing there
    return type(value).__name__, value


def names_of(transition: Transition) -> dict[str, Any]:
    return {
        "obj": transition.obj,
        "task": transition.task,
        "flow": transition.flow,
        "state": transition.state,
        "new_state": transition.state,
        "old_state": transition.old_state,
        "event": transition,
    }


@pytest.mark.parametrize("seed", range(3 * ROUNDS))
def test_lowered_expressions_agree_with_jinja2(seed: int) -> None:
    source, reference, counts = expressions.Generator(seed), Reference(), Counter()
    for _ in range(500):
        text = source.expression()
        try:
            ours = compile_value(text)
        except LanguageError:
            counts["refused"] += 1
            continue
        theirs = reference.compile_expression(text, undefined_to_none=False)
        for _ in range(6):
            transition = source.transition()
            expected, got = outcome(theirs, names_of(transition)), outcome(ours, transition)
            counts["raised" if expected[0] == "raised" else "compared"] += 1
            if expected[0] != "raised":  # where jinja2 has no order for none, ours says false
                assert got == expected, text

    assert counts["compared"] > 1500, counts
