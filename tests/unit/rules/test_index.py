"""The index finds exactly what asking every check would find."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway.errors import LanguageError
from gateway.rules.expression import Check, compile_check
from gateway.rules.index import Index
from gateway.rules.sugar import Sugar
from gateway.states import Failed, Running
from gateway.transition import Obj, Transition

ROUNDS = int(os.environ.get("GATEWAY_FUZZ", "1"))


def checks_of(source: Any, number: int) -> list[Check]:
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
def test_the_index_agrees_with_asking_every_check(seed: int, generator: Any) -> None:
    source = generator(seed)
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


def test_checks_that_begin_alike_all_fail_if_their_beginning_raises() -> None:
    texts = ["state.result < 3 and obj.max_retries > 1", "state.result < 3 and state is failed", "state.result < 3"]
    index = Index([compile_check(text) for text in [*texts, "state is failed and obj.name is glob('*a*')"]])
    transition, errors = failed(), []
    transition.state.result = "text"

    assert index.match(transition, errors) == [3]
    assert [position for position, _ in errors] == [0, 1, 2]


def test_an_alternative_that_is_impossible_may_still_raise() -> None:
    check = compile_check("(state.result < 3 and flow.name == 'a' and flow.name == 'b') or state is failed")
    transition, errors = failed(), []
    transition.state.result = "text"

    assert Index([check]).match(transition, errors) == []
    assert [position for position, _ in errors] == [0]


def test_checks_that_begin_alike_differ_in_the_rest() -> None:
    begin = "old_state is running"
    rests = ["obj.max_retries == 0", "obj.max_retries == 1", "state.result < 3", "state is failed"]
    index = Index([compile_check(f"{begin} and {rest}") for rest in rests])
    transition, errors = failed(), []
    transition.state.result = "text"

    assert index.match(transition, errors) == [0, 3]
    assert [position for position, _ in errors] == [2]


def test_a_check_under_several_tags_that_raises_is_reported_once() -> None:
    index, errors = Index([compile_check("('a' in obj.tags or 'b' in obj.tags) and state.result < 3")]), []
    transition = failed(tags=("a", "b"))
    transition.state.result = "text"

    assert index.match(transition, errors) == []
    assert [position for position, _ in errors] == [0]


def test_a_check_that_raises_is_silent_where_nobody_listens() -> None:
    transition = failed()
    transition.state.result = "text"

    assert Index([compile_check("state.result < 3")]).match(transition) == []


@pytest.mark.parametrize("value", [None, 3, ["x"], {"a": 1}])
def test_a_label_that_is_no_text_disturbs_nobody(value: Any) -> None:
    index = Index([compile_check("obj.labels.team == 'data'"), compile_check("state is failed")])
    transition = failed()
    transition.obj.labels = {"team": value}

    assert index.unindexed == 1
    assert index.match(transition) == [1]


@pytest.mark.parametrize(
    ("text", "indexed"),
    [
        ("flow.name == 'a'", True),
        ("'a' == flow.name", True),
        ("obj.labels['team'] == 'a'", True),
        ("flow.name in ('a', 'b')", True),
        ("flow.name in ['a', 3]", False),
        ("flow.name != 'a'", False),
        ("not flow.name == 'a'", False),
        ("flow.name == 'a' or obj.name == 'b'", False),
        ("flow.name == 'a' or flow.name.startswith('b')", True),
        ("flow.name == 'a' or (flow.name == 'b' and state is failed)", True),
        ("flow.name.startswith('')", False),
        ("flow.name is glob('*')", False),
        ("flow.name is glob('a')", True),
        ("task.name.startswith('a')", True),
        ("task.labels.team == 'a'", True),
        ("event.source == 'http'", True),
        ("'a' in task.tags", True),
        ("'a' not in obj.tags", False),
        ("flow.name|lower == 'a'", False),
        ("(flow.name == 'a') if task else (flow.name == 'b')", False),
    ],
)
def test_what_an_expression_is_found_by(text: str, indexed: bool) -> None:
    assert (Index([compile_check(text)]).unindexed == 0) is indexed


def test_several_threads_may_ask_a_new_index_at_once() -> None:
    checks = [compile_check(f"state is failed and obj.max_retries >= {number % 7}") for number in range(800)]
    index, transition = Index(checks), failed()
    transition.obj.max_retries = 3
    expected = [number for number in range(800) if number % 7 <= 3]

    with ThreadPoolExecutor(8) as threads:
        assert all(found == expected for found in threads.map(lambda _: index.match(transition), range(64)))


def test_an_index_of_nothing_finds_nothing() -> None:
    assert Index([]).match(failed()) == []
