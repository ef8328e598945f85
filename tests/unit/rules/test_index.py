"""The index finds exactly what asking every check would find."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from gateway.errors import LanguageError
from gateway.rules.expression import Check, Sugar, compile_check
from gateway.rules.index import Index
from gateway.states import Failed, Running
from gateway.transition import Obj, Transition

_spec = importlib.util.spec_from_file_location("expressions", Path(__file__).parent / "expressions.py")
expressions = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(expressions)

ROUNDS = int(os.environ.get("GATEWAY_FUZZ", "1"))


def checks_of(source, number: int) -> list[Check]:
    checks = []
    while len(checks) < number:
        on = source.random.choice([None, None, "task", "flow"])
        try:
            checks.append(compile_check(source.indexable(), on=on))
        except LanguageError:
            continue
    return checks


def asked_one_by_one(checks: list[Check], transition: Transition) -> tuple[list[int], set[int]]:
    found, raised = [], set()
    for position, check in enumerate(checks):
        try:
            if check.holds(transition):
                found.append(position)
        except Exception:
            raised.add(position)
    return found, raised


@pytest.mark.parametrize("seed", range(2 * ROUNDS))
def test_the_index_agrees_with_asking_every_check(seed: int) -> None:
    source = expressions.Generator(seed)
    checks = checks_of(source, 600)
    index = Index(checks)

    for _ in range(80):
        transition, errors = source.transition(), []
        found, raised = asked_one_by_one(checks, transition)
        assert index.match(transition, errors) == found
        assert {position for position, _ in errors} <= raised

    assert 0 < index.unindexed < len(checks)


def failed(name: str = "load", flow: str = "etl", tags: tuple[str, ...] = ()) -> Transition:
    return Transition.of(Obj("task", name, tags=tags, flow=Obj("flow", flow)), Running(), Failed("boom"))


def test_a_check_that_raises_hides_no_other_and_is_reported() -> None:
    index = Index([compile_check("state.result < 3"), compile_check("state is failed")])
    transition = failed()
    transition.state.result, errors = "text", []

    assert index.match(transition, errors) == [1]
    assert [(position, type(error)) for position, error in errors] == [(0, TypeError)]


def test_equal_checks_are_all_found_in_order() -> None:
    check = compile_check("flow.name == 'etl'")

    assert Index([check, compile_check("state is failed"), check]).match(failed()) == [0, 1, 2]


def test_a_check_filed_under_several_tags_is_found_once() -> None:
    check = compile_check(None, sugar=Sugar(tags_any=("prod", "night")))

    assert Index([check]).match(failed(tags=("prod", "night"))) == [0]


@pytest.mark.parametrize(
    ("sugar", "holds"),
    [
        (Sugar(state=("Failed",)), True),
        (Sugar(state=("Finished",)), True),
        (Sugar(state=("TimedOut",)), False),
        (Sugar(flow=("etl",)), True),
        (Sugar(flow=("e*",)), True),
        (Sugar(flow=("web", "x*")), False),
        (Sugar(task=("l?ad",)), True),
        (Sugar(task=("check",)), False),
        (Sugar(tags_any=("prod", "x")), True),
        (Sugar(tags_any=("pr*",)), True),
        (Sugar(tags_all=("prod", "x")), False),
        (Sugar(tags_all=("p*", "night")), True),
        (Sugar(tags_none=("prod",)), False),
        (Sugar(tags_none=("x*",)), True),
    ],
    ids=str,
)
def test_sugar_means_what_it_says(sugar: Sugar, holds: bool) -> None:
    transition = failed(tags=("prod", "night"))
    check = compile_check(None, sugar=sugar)

    assert check.holds(transition) is holds
    assert bool(Index([check]).match(transition)) is holds


def test_only_checks_without_any_indexable_need_stay_unindexed() -> None:
    texts = [
        "flow.name == 'a'",
        "'x' in obj.tags",
        "flow.name.startswith('a')",
        "flow.name is glob('a*')",
        "state is failed",
    ]

    assert Index([compile_check(text) for text in texts]).unindexed == 1
