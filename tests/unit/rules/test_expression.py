"""Expressions: what they mean, and what is refused when they are loaded."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import cloudpickle
import pytest

from gateway.errors import LanguageError
from gateway.handlers import callback_factory
from gateway.rules.expression import compile_check, compile_value
from gateway.rules.sugar import Sugar
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
        ("(old_state or state).type == 'Running'", True),
        ("(old_state if state is running else state).type == 'Failed'", True),
        ("(task and task.name) == 'load'", True),
        ("state.message[0] == 't'", True),
        ("(obj.tags|first) == 'prod'", True),
        ("(obj.parameters.list|first) < 3", False),
        ("([]|first) < 3", False),
        ("(state.message[999] and obj.name).startswith('l')", False),
        ("(state.message|replace(new='Time', old='time')).startswith('Time')", True),
        (r"('a' ~ '\\' ~ 'b') is search('^a\\b$')", True),
        ("-obj.map_index < 0", False),
        ("state.result.nothing + 1 > 0", False),
        ("flow.name.startswith(state.result.nothing)", False),
        ("flow.name.startswith(state.result.flag)", False),
        ("'x' in state.result.rows", False),
        ("obj.tags is in [1]", False),
        ("state.start_time is lt event.occurred_at", False),
        ("state.result.items is even", False),
        ("state.result.rows is odd", True),
        ("obj.parameters|length == 1", True),
        ("obj.tags|select('glob', 'pr*')|length == 1", True),
        (" or ".join(f"flow.name == 'flow-{number}'" for number in range(40)), False),
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
        ("flow.name == 'a' and flow.name == 'b'", 1, "can never match"),
        ("flow.name in ['a', 'b'] and flow.name.startswith('c')", 1, "can never match"),
        ("false", 1, "can never match"),
        ("task.name == 'a' and obj.kind == 'flow'", 1, "can never match"),
        ("flow.name == 'etl' and task is none and obj.kind == 'task'", 1, "can never match"),
        ("(state if state is failed else obj).name == 'x'", 2, "cannot stand in for something else"),
        ("[state] | length > 0", 2, "a whole State cannot be used"),
        ("obj.labels[state] == 'x'", 12, "a whole State cannot be used"),
        ("1 < 2 in [2]", 10, "join them with 'and'"),
        ("obj.tags | select('globb', 'x')", 12, "did you mean 'glob'?"),
        ("state.result.__class__ == 'x'", 13, "is private"),
        ("state is failed(x=1)", 7, "plain arguments"),
        ("flow.name is even", 11, "needs a number"),
        ("flow.name[obj.name] == 'x'", 14, "by its number"),
        ("'a' 'b' == flow.name", 5, "two texts in a row"),
        ("not " * 40 + "state is failed", None, "too large"),
        ("(" * 1900 + "1" + ")" * 1900, 1, "nested too deeply"),
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


class Foreign:
    """A state of another engine, known by the name of its class."""

    def __init__(self, message: str) -> None:
        self.message, self.result = message, None


class Failing(Foreign):
    pass


def test_a_check_takes_the_states_of_other_engines() -> None:
    failed = type("Failed", (Foreign,), {})("timeout")

    assert compile_check("state is failed and state.message is search('time')")(failed) is True
    assert compile_check("state is failed")(Failing("timeout")) is False


def test_a_value_is_what_the_expression_gives_whatever_its_type() -> None:
    told = transition()

    assert compile_value("obj.run_id ~ '/' ~ state.type")(told) == "/Failed"
    assert compile_value("state.result.rows + 1")(told) == 6
    assert compile_value("obj.tags")(told) == ("prod",)
    assert not compile_value("state.result.nothing")(told)
    with pytest.raises(LanguageError, match="pick an attribute"):
        compile_value("state")


def test_an_equal_handler_is_compiled_once() -> None:
    first, second = (compile_check("state is failed", on="task", sugar=Sugar(flow=("etl",))) for _ in range(2))

    assert first is second
    assert compile_check("state is failed", on="flow", sugar=Sugar(flow=("etl",))) is not first


def test_a_text_keeps_its_blanks_when_its_condition_is_told() -> None:
    told = transition(flow=Obj("flow", "a  b"))

    parts = compile_check("state is failed\n  and flow.name == 'a  b'").conditions()

    assert [part.holds(told) for _, part in parts] == [True, True]
    assert [text for text, _ in parts] == ["state is failed", "flow.name == 'a b'"]


def test_a_costly_field_is_read_once_however_often_it_is_used() -> None:
    class Counting(dict[str, int]):
        reads = 0

        def items(self) -> object:  # type: ignore[override]
            Counting.reads += 1
            return super().items()

    told = transition(state=Failed(result=Counting(rows=5)))

    assert compile_check("state.result.rows > 3 and state.result.rows < 7 and state.result.nothing is undefined").holds(
        told
    )
    assert Counting.reads == 1
