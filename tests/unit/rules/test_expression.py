"""Expressions: what they mean, and what is refused when they are loaded."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import cloudpickle
import pytest

from gateway.errors import LanguageError
from gateway.handlers import callback_factory
from gateway.rules.expression import Sugar, compile_check, compile_value
from gateway.states import Failed, Retrying, Running, Success, TimedOut
from gateway.transition import Obj, Transition

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def transition(**changed: object) -> Transition:
    obj = Obj(
        "task", "load", tags=("prod",), flow=Obj("flow", "etl-daily"), parameters={"day": 3}, labels={"team": "x"}
    )
    state = Failed("timeout after 30s", {"flag": True, "rows": 5, "items": "data"}, final=False, timestamp=NOON)
    built = Transition.of(obj, Running(timestamp=NOON - timedelta(minutes=5)), state, id="t-1", occurred_at=NOON)
    for name, value in changed.items():
        setattr(built, name, value)
    return built


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("state is failed", True),
        ("state is not failed", False),
        ("not state is failed", False),
        ("state.is_failed()", True),
        ("state is final", False),
        ("old_state is running", True),
        ("new_state.type == state.type", True),
        ("state.type in ['Failed', 'TimedOut']", True),
        ("state.name == 'Failed'", True),
        ("flow.name.startswith('etl')", True),
        ("'prod' in task.tags and obj.kind == 'task'", True),
        ("state.result.flag", True),
        ("state.result.rows > 3", True),
        ("state.result.items == 'data'", True),
        ("state.result['rows'] == 5", True),
        ("state.result.nothing > 3", False),
        ("state.result.nothing.at.all", False),
        ("state.result.nothing is defined", False),
        ("state.start_time is none", True),
        ("state.start_time > event.occurred_at", False),
        ("state.timestamp - old_state.timestamp == event.occurred_at - old_state.timestamp", True),
        ("obj.parameters.day == 3", True),
        ("obj.labels.get('team') == 'x'", True),
        ("obj.labels.team|upper == 'X'", True),
        ("obj.map_index is none", True),
        ("obj.flow.name == flow.name", True),
        (r"state.message is search('\b\d+s$')", True),
        ("state.message is match('after')", False),
        ("flow.name is glob('etl-*')", True),
        ("state.message|length > 5", True),
        ("1 < 2 <= 2", True),
        ("'a' ~ 'b' == 'ab'", True),
        ("'a' ~ state.start_time ~ state.result.nothing == 'a'", True),
        ("(1 if state is failed else 2) == 1", True),
        ("event.source == 'local' and event.id == 't-1'", True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_expression_means_what_it_says(text: str, value: bool) -> None:
    assert compile_check(text).holds(transition()) is value


@pytest.mark.parametrize(
    "text",
    [
        "old_state is failed",
        "old_state.is_failed()",
        "old_state.type == 'Failed'",
        "old_state.message.startswith('x')",
        "old_state.timestamp < event.occurred_at",
    ],
)
def test_a_state_that_is_not_known_is_nothing_and_false(text: str) -> None:
    assert compile_check(text).holds(transition(old_state=None)) is False


def test_a_task_is_nothing_in_the_transition_of_a_flow() -> None:
    flow = Transition.of(Obj("flow", "etl"), Running(), Failed())

    assert compile_check("task.name.startswith('l')").holds(flow) is False
    assert compile_check("task is none").holds(flow) is True


def test_on_restricts_an_expression_to_one_kind() -> None:
    flow = Transition.of(Obj("flow", "etl"), Running(), Failed())

    assert compile_check("task.name == 'x' or state is failed", on="task").holds(flow) is False


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("state is faild", 10, "unknown test 'faild' (did you mean 'failed'?)"),
        ("state.type == 'Faild'", 15, "the value 'Faild' can never match (did you mean 'Failed'?)"),
        ("state.type in ['Failed', 'Succes']", 26, "the value 'Succes' can never match (did you mean 'Success'?)"),
        ("staet is failed", 1, "unknown name 'staet' (did you mean 'state'?)"),
        ("state is failed and task.nam == 'x'", 26, "Obj has no attribute 'nam' (did you mean 'name'?)"),
        ("flow.name.startwith('x')", 11, "has no method 'startwith' (did you mean 'startswith'?)"),
        ("flow.name|lenght > 2", 11, "unknown filter 'lenght' (did you mean 'length'?)"),
        ("state.is_failed", 6, "must be called: write is_failed()"),
        ("state is failed and state is running", 1, "can never match"),
        ("state.start_time > 3", 20, "have no order"),
        ("flow.name == 3", 14, "is never equal"),
        ("state == 'Failed'", 10, "with a test: state is failed"),
        ("obj.tags == ['a']", 13, "ask for an item with 'in'"),
        ("3 in flow.name", 10, "cannot be in text"),
        ("state.message is search('(')", 25, "not a regular expression"),
        ("state.message is search(flow.name)", 29, "needs a text in quotes"),
        ("state ==", 7, "ends too early"),
        ("state is failed state", 7, "takes no arguments"),
        ("state is failed)", 16, "unexpected ')'"),
        ("state.message == 'x", 18, "without its closing quote"),
        ("1 * 2", 1, "* is not allowed in an expression"),
        ("range(10)", 6, "only methods can be called"),
        ("state.__class__", 7, "has no attribute '__class__'"),
        ("''.__class__.mro()", 3, "has no attribute"),
        ("state.result.x()", 13, "cannot be called on untyped data"),
        ("flow.is_failed()", 6, "has no method"),
        ("flow is failed", 6, "needs a state"),
        ("flow.name.startswith()", 21, "takes 1 argument"),
        ("'x' + 3 == 4", 1, "join texts with ~"),
        (" and ".join(["state is failed"] * 200), None, "too large"),
        ("(" * 50 + "1" + ")" * 50, None, ""),
        ("'" + "x" * 5000 + "' == flow.name", 1, "longer than"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_expression_is_refused_with_its_place(text: str, column: int | None, said: str) -> None:
    if said == "":
        compile_check(text)  # parentheses cost nothing
        return
    with pytest.raises(LanguageError) as refused:
        compile_check(text)

    assert said in str(refused.value)
    if column is not None:
        assert (refused.value.line, refused.value.column) == (1, column)


def test_a_place_in_a_later_line_is_told() -> None:
    with pytest.raises(LanguageError) as refused:
        compile_check("state is failed\n  and flow.nam == 'x'")

    assert (refused.value.line, refused.value.column) == (2, 12)


def test_the_task_is_out_of_scope_in_a_handler_for_flows() -> None:
    with pytest.raises(LanguageError, match="unknown name 'task'"):
        compile_check("task.name == 'x'", on="flow")


def test_untyped_data_is_never_read_by_attribute() -> None:
    class Trap:
        secret = "seen"

    trap = transition(state=Failed(result={"trap": Trap()}))

    assert compile_value("state.result.trap.secret")(trap) != "seen"


def test_a_check_works_as_the_check_of_callback_factory() -> None:
    told: list[object] = []
    handler = callback_factory(lambda obj, state: told.append(state), compile_check("state is retrying"))

    for state in (Running(), Retrying(), Success()):
        handler("anything", Running(), state)

    assert [type(state) for state in told] == [Retrying]
    assert compile_check("state is failed")(TimedOut()) is True


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
def test_a_check_travels_as_its_source(dumps) -> None:
    check = compile_check("state is failed", on="task", sugar=Sugar(flow=("etl-*",)))

    copy = pickle.loads(dumps(check))

    assert (copy.source, copy.on, copy.sugar) == (check.source, check.on, check.sugar)
    assert copy.holds(transition())


def test_conditions_are_told_one_by_one_as_written() -> None:
    check = compile_check(
        "state is failed and (flow.name == 'x' or obj.name == 'y')", on="task", sugar=Sugar(task=("l*",))
    )

    told = [(text, part.holds(transition())) for text, part in check.conditions()]

    assert told == [
        ('on = "task"', True),
        ("task = l*", True),
        ("state is failed", True),
        ("(flow.name == 'x' or obj.name == 'y')", False),
    ]
