"""Sugar: what the keys beside ``when`` mean."""

from __future__ import annotations

import pytest

from gateway.errors import LanguageError
from gateway.rules.expression import compile_check
from gateway.rules.index import Index
from gateway.rules.sugar import Sugar
from gateway.states import PREDICATES, STATES, Failed, Queued, Running
from gateway.transition import Obj, Transition


def entering(kind: str) -> Transition:
    return Transition.of(Obj("task", "load", flow=Obj("flow", "etl")), Running(), STATES[kind]())


def called(predicate: str) -> str:
    """``TimedOut`` for ``timed_out``."""
    return "".join(word.capitalize() for word in predicate.split("_"))


@pytest.mark.parametrize("predicate", [name for name in PREDICATES if called(name) in STATES])
def test_a_state_means_all_that_the_predicate_of_its_name_means(predicate: str) -> None:
    check = compile_check(None, sugar=Sugar(state=(called(predicate),)))

    assert {kind for kind in STATES if check.holds(entering(kind))} == PREDICATES[predicate]


def test_a_state_without_a_predicate_means_itself_and_its_kinds() -> None:
    check = compile_check(None, sugar=Sugar(state=("Success", "ValidationFailed")))

    assert {kind for kind in STATES if check.holds(entering(kind))} == {*PREDICATES["successful"], "ValidationFailed"}
    assert compile_check(None, sugar=Sugar(state=("Scheduled",)))(Queued())


def test_a_state_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(LanguageError, match=r"no state 'Faild' \(did you mean 'Failed'\?\)"):
        compile_check(None, sugar=Sugar(state=("Faild",)))


def test_a_task_is_refused_in_a_handler_for_flows() -> None:
    with pytest.raises(LanguageError, match="there is no task"):
        compile_check(None, on="flow", sugar=Sugar(task=("load",)))


def test_sugar_may_be_as_long_as_it_likes() -> None:
    names = tuple(f"flow-{number}" for number in range(1_000))
    globs = tuple(f"flow-{number}-*" for number in range(1_000))
    check = compile_check("state is failed", sugar=Sugar(flow=(*names, *globs)))

    for flow in ("flow-999", "flow-0", "flow-7-x"):
        transition = Transition.of(Obj("flow", flow), None, Failed())
        assert check.holds(transition)
        assert Index([check]).match(transition) == [0]


def test_names_and_globs_together_are_indexed() -> None:
    index = Index(
        [compile_check(None, sugar=Sugar(flow=("etl", "web-*"))), compile_check(None, sugar=Sugar(task=("l*",)))]
    )

    assert index.unindexed == 0
    assert index.match(entering("Failed")) == [0, 1]


def test_quotes_and_backslashes_in_names_are_nothing_special() -> None:
    odd = 'it\'s "odd" \\ {here}'
    check = compile_check(None, sugar=Sugar(flow=(odd, odd + "*"), tags_any=(odd,)))

    transition = Transition.of(Obj("flow", odd, tags=(odd,)), None, Failed())
    assert check.holds(transition)
    assert Index([check]).match(transition) == [0]
