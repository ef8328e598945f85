from __future__ import annotations

import pickle
import re

import pytest

from gateway import states
from gateway.handlers import (
    CallbackHandler,
    call_handlers,
    callback_factory,
    handler_list,
    is_failed,
    on_failure_handler,
)
from gateway.transition import Transition

PENDING, RUNNING, FAILED = states.Pending(), states.Running(), states.Failed("odd")


class Recorder:
    """A callback that keeps what it was called with."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def __call__(self, obj: object, state: object) -> str:
        self.calls.append((obj, state))
        return "ignored"


class TransitionRecorder:
    """A transition-aware callback."""

    def __init__(self) -> None:
        self.told: list[Transition] = []

    def tell(self, transition: Transition) -> None:
        self.told.append(transition)


class Came:
    """A transition-aware check: the state before was of this class."""

    def __init__(self, kind: type[states.State]) -> None:
        self.kind = kind

    def holds(self, transition: Transition) -> bool:
        return isinstance(transition.old_state, self.kind)


def test_the_callback_is_called_with_object_and_state_when_the_check_holds():
    seen = Recorder()

    returned = callback_factory(seen, lambda state: state.is_running())("obj", PENDING, RUNNING)

    assert seen.calls == [("obj", RUNNING)]
    assert returned is RUNNING


@pytest.mark.parametrize("answer", [False, None, 0, 1, "yes", re.match("a", "a"), [1]], ids=repr)
def test_only_true_itself_lets_the_callback_run(answer):
    seen = Recorder()

    returned = callback_factory(seen, lambda state: answer)("obj", PENDING, RUNNING)

    assert seen.calls == []
    assert returned is RUNNING


def test_an_error_of_the_check_propagates():
    handler = callback_factory(Recorder(), lambda state: state.nothing)

    with pytest.raises(AttributeError, match="nothing"):
        handler("obj", PENDING, RUNNING)


def test_an_error_of_the_callback_propagates():
    def fn(obj, state):
        raise OSError("no network")

    with pytest.raises(OSError, match="no network"):
        callback_factory(fn, lambda state: True)("obj", PENDING, RUNNING)


class Named:
    name = "load"


@pytest.mark.parametrize(("old", "told"), [(PENDING, 1), (RUNNING, 0)])
def test_a_transition_aware_check_sees_the_old_state(old, told):
    seen = Recorder()

    callback_factory(seen, Came(states.Pending))(Named(), old, FAILED)

    assert len(seen.calls) == told


def test_a_transition_aware_callback_is_told_the_transition():
    callback = TransitionRecorder()

    returned = callback_factory(callback, is_failed)(Named(), RUNNING, FAILED)

    assert returned is FAILED
    (transition,) = callback.told
    assert (transition.obj.name, transition.old_state, transition.state.message) == ("load", RUNNING, "odd")


def test_both_parts_can_be_transition_aware():
    callback = TransitionRecorder()
    handler = callback_factory(callback, Came(states.Running))

    handler(Named(), PENDING, RUNNING)
    handler(Named(), RUNNING, FAILED)

    assert [transition.state.type for transition in callback.told] == ["Failed"]


def print_state(obj, state):
    print(obj, state)


def test_a_handler_survives_pickling_if_its_parts_do(capsys):
    handler = pickle.loads(pickle.dumps(callback_factory(print_state, is_failed)))

    handler("load", RUNNING, FAILED)

    assert isinstance(handler, CallbackHandler)
    assert capsys.readouterr().out == 'load Failed("odd")\n'


@pytest.mark.parametrize("kind", states.STATES.values(), ids=states.STATES)
def test_on_failure_fires_for_every_kind_of_failure_and_nothing_else(kind):
    seen = Recorder()

    on_failure_handler(seen)("obj", RUNNING, kind())

    assert len(seen.calls) == (kind.type in states.PREDICATES["failed"])


def recording(calls, name, returned=None):
    def handler(obj, old, new):
        calls.append((name, obj, old, new))
        return returned

    return handler


def test_handlers_are_called_in_order_with_the_same_states():
    calls: list[object] = []

    result = call_handlers([recording(calls, "a"), recording(calls, "b", RUNNING)], "obj", PENDING, RUNNING)

    assert calls == [("a", "obj", PENDING, RUNNING), ("b", "obj", PENDING, RUNNING)]
    assert result is RUNNING


@pytest.mark.parametrize("falsy", [None, False, 0, "", [], {}], ids=repr)
def test_a_falsy_answer_keeps_the_state(falsy):
    assert call_handlers([lambda *_: falsy], "obj", PENDING, RUNNING) is RUNNING


def test_a_replacement_is_what_later_handlers_see():
    calls: list[object] = []
    skipped = states.Skipped("not today")

    result = call_handlers([recording(calls, "a", skipped), recording(calls, "b")], "obj", PENDING, RUNNING)

    assert calls[1] == ("b", "obj", PENDING, skipped)
    assert result is skipped


class Job:
    """Looks like a state and is none."""

    def is_finished(self) -> bool:
        return True


async def asynchronous(obj, old, new):
    return new


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (lambda *_: 1, r"the state handler .*<lambda> returned an object of type int; right is a state or None"),
        (lambda *_: "Failed", "of type str"),
        (lambda *_: states.Failed, "of type type"),
        (lambda *_: Job(), "of type Job"),
        (asynchronous, "the state handler asynchronous is an async function; state handlers are plain functions"),
    ],
    ids=["number", "text", "class", "lookalike", "coroutine"],
)
def test_an_answer_that_is_no_state_is_an_error_before_anybody_sees_it(handler, message):
    calls: list[object] = []

    with pytest.raises(TypeError, match=message):
        call_handlers([handler, recording(calls, "later")], "obj", PENDING, RUNNING)

    assert calls == []


def test_the_first_error_stops_the_walk():
    calls: list[object] = []

    def broken(obj, old, new):
        raise KeyError("gone")

    with pytest.raises(KeyError):
        call_handlers([recording(calls, "a"), broken, recording(calls, "b")], "obj", PENDING, RUNNING)

    assert [name for name, *_ in calls] == ["a"]


def test_the_handlers_of_an_object_are_a_list_of_their_own_with_on_failure_last():
    given = [recording([], "a")]

    made = handler_list(given, print_state)

    assert len(given) == 1
    assert made[0] is given[0]
    assert (made[1].fn, made[1].check) == (print_state, is_failed)


def test_a_tuple_of_handlers_is_as_good_as_a_list():
    handler = recording([], "a")

    assert handler_list((handler,), None) == [handler]
    assert handler_list(None, None) == []


@pytest.mark.parametrize("wrong", [print_state, "abc", [1], {print_state}], ids=["function", "text", "number", "set"])
def test_what_is_not_a_sequence_of_functions_is_refused(wrong):
    with pytest.raises(TypeError, match=r"state_handlers=\[handler\]"):
        handler_list(wrong, None)


def test_on_failure_has_to_be_callable():
    with pytest.raises(TypeError, match="on_failure"):
        handler_list([], "mail")
