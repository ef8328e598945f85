from __future__ import annotations

from datetime import timedelta

import pytest

from gateway import Flow, Parameter, Task, task, triggers
from gateway.handlers import is_failed


def ignore(obj, old, new):
    return None


def tell(obj, state):
    return None


class Load(Task):
    def run(self, table, limit=10):
        return f"{table}:{limit}"


def test_a_task_is_named_by_its_class_unless_told():
    assert (Task().name, Load().name, Load("users").name, Load(name="x").name) == ("Task", "Load", "users", "x")


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (Task(), "<Task: Task>"),
        (Load("users"), "<Task: users>"),
        (Parameter("day"), "<Parameter: day>"),
        (task(ignore), "<Task: ignore>"),
    ],
)
def test_tasks_print_their_name(made, text):
    assert str(made) == repr(made) == text


def test_defaults():
    made = Task()

    assert (made.state_handlers, made.max_retries, made.retry_delay, made.timeout) == ([], 0, timedelta(0), None)
    assert (made.trigger, made.skip_on_upstream_skip, made.tags) == (triggers.all_successful, True, frozenset())
    assert made.run() is None


def test_durations_are_timedeltas_or_seconds():
    assert Task(max_retries=1, retry_delay=30).retry_delay == timedelta(seconds=30)
    assert Task(max_retries=1, retry_delay=timedelta(hours=1)).retry_delay == timedelta(hours=1)
    assert Task(timeout=0.5).timeout == timedelta(milliseconds=500)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_retries": -1}, ValueError, "number of further attempts"),
        ({"retry_delay": 5}, ValueError, "no effect without max_retries"),
        ({"max_retries": 1, "retry_delay": -5}, ValueError, "retry_delay is a timedelta or seconds"),
        ({"max_retries": 1, "retry_delay": timedelta.max}, ValueError, "to a hundred years"),
        ({"timeout": -1}, ValueError, "timeout is a timedelta or seconds"),
        ({"timeout": 0}, ValueError, "leave it out for no limit"),
        ({"tags": "nightly"}, TypeError, r"tags=\['nightly'\]"),
        ({"trigger": "all_failed"}, TypeError, "trigger is a function"),
        ({"state_handlers": ignore}, TypeError, r"state_handlers=\[handler\]"),
        ({"on_failure": "mail"}, TypeError, "on_failure is a function"),
        ({"cache_for": 3}, TypeError, "cache_for"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, dict) else "",
)
def test_an_argument_that_makes_no_sense_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        Task(**options)


def test_on_failure_comes_after_the_handlers_and_leaves_the_given_list_alone():
    given = [ignore]

    made = Task(state_handlers=given, on_failure=tell)

    assert given == [ignore]
    assert made.state_handlers[0] is ignore
    assert (made.state_handlers[1].fn, made.state_handlers[1].check) == (tell, is_failed)


@task
def add(a, b=2):
    """Add two numbers."""
    return a + b


@task(name="difference", max_retries=3, tags=["maths"])
def subtract(a, b):
    return a - b


def test_the_decorator_works_with_and_without_arguments():
    assert (add.name, subtract.name, subtract.max_retries, subtract.tags) == (
        "add",
        "difference",
        3,
        frozenset({"maths"}),
    )
    assert (add.run(1), subtract.run(5, b=3)) == (3, 2)
    assert add.__doc__ == "Add two numbers."


def test_a_callable_without_a_name_makes_a_task_too():
    class Adder:
        def __call__(self, a):
            return a

    assert task(Adder()).name == "FunctionTask"


def test_a_call_puts_a_copy_into_the_flow():
    with Flow("f") as flow:
        first, second = add(1), add(2)

    assert flow.tasks == (first, second)
    assert add not in flow.tasks
    assert first.name == second.name == "add"


def test_copies_share_the_list_of_handlers():
    original = Task(state_handlers=[ignore])
    with Flow("f"):
        one, other = original(), original()

    one.state_handlers.append(ignore)

    assert one.state_handlers is other.state_handlers is original.state_handlers


def test_outside_a_flow_a_call_is_an_error_that_says_what_to_do():
    with pytest.raises(ValueError, match=r"<Task: add> joins a flow inside `with Flow\(\.\.\.\)`"):
        add(1)


@pytest.mark.parametrize("wrong", [lambda: add(), lambda: add(1, 2, 3), lambda: add(1, c=3), lambda: Load()(day=1)])
def test_arguments_are_checked_when_the_flow_is_built(wrong):
    with Flow("f") as flow, pytest.raises(TypeError):
        wrong()

    assert flow.tasks == ()


def test_a_parameter_is_required_unless_it_has_a_default():
    assert Parameter("a").required
    assert not Parameter("a", default=None).required
    assert not Parameter("a", 3).required
    assert not Parameter("a", required=False).required
    assert Parameter("a", default=3, required=True).required


def test_a_called_parameter_is_itself():
    parameter = Parameter("day")
    with Flow("f") as flow:
        assert parameter() is parameter

    assert flow.tasks == (parameter,)


def test_set_upstream_and_set_downstream_work_on_the_flow_being_built():
    with Flow("f") as flow:
        first, middle, last = Task("first"), Task("middle"), add(1)
        middle.set_upstream(first)
        middle.set_downstream(last, key="b")

    assert flow.upstream_tasks(middle) == (first,)
    assert flow.upstream_tasks(last) == (middle,)
    assert list(flow.arguments(last).tasks()) == [middle]


def test_a_task_run_alone_passes_through_no_states():
    seen = []

    assert task(lambda: 7, state_handlers=[lambda *call: seen.append(call)]).run() == 7
    assert seen == []
