"""Tests (``x is NAME``): those jinja2 has too mean the same, and none of them raises."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from jinja2.defaults import DEFAULT_TESTS

from gateway.rules.nothing import NOTHING
from gateway.rules.predicates import TESTS
from gateway.rules.values import missing_key
from gateway.states import PREDICATES, STATES

VALUES: list[Any] = [True, False, 0, 1, 2, 7, 2.5, "", "abc", "ABC", "a b", [], [1], ["a"], {}, {"a": 1}]
MISSING: list[Any] = [None, NOTHING, missing_key("state.result.rows")]
TIME = datetime(2026, 5, 1, tzinfo=UTC)
ARGUMENTS: list[Any] = [0, 1, 2.5, "a", "abc", [1, "abc"], {"a": 1}, None, TIME]
SHARED = sorted(TESTS.keys() & DEFAULT_TESTS.keys())


def asked(function: Any, *given: Any) -> bool | None:
    """What a test says; ``None`` if it raises."""
    try:
        return bool(function(*given))
    except (TypeError, ZeroDivisionError):
        return None


@pytest.mark.parametrize("name", SHARED)
def test_a_test_means_what_it_means_to_jinja2(name: str) -> None:
    test, stock = TESTS[name], DEFAULT_TESTS[name]
    values = [value for value in VALUES if test.scope != "text" or isinstance(value, str)]

    for value in values:
        for argument in ARGUMENTS if test.min_args else [()]:
            given = (value,) if argument == () else (value, argument)
            expected = asked(stock, *given)
            assert asked(test.function, *given) in ([expected] if expected is not None else [False, None]), given


@pytest.mark.parametrize("name", sorted(TESTS))
def test_no_test_raises_for_what_is_missing(name: str) -> None:
    test = TESTS[name]

    for value in MISSING:
        argument = r"\d" if name in ("search", "match", "glob") else 2
        assert test.function(value, *[argument] * test.min_args) in (True, False)


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge", "in", "divisibleby"])
def test_what_is_missing_is_neither_less_nor_more_nor_in_anything(name: str) -> None:
    function = TESTS[name].function

    assert not any(function(value, other) for value in MISSING for other in (1, "a", [1], TIME))
    assert not any(function(value, other) for value in (1, "a", TIME) for other in MISSING)


@pytest.mark.parametrize("name", sorted(PREDICATES))
def test_a_predicate_holds_for_its_states_only(name: str) -> None:
    function = TESTS[name].function

    assert {kind for kind, state in STATES.items() if function(state())} == PREDICATES[name]
    assert not function("Failed")
