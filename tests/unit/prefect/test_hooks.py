"""Hooks on stand-ins for Prefect's objects: what is attached where, and that nothing of ours gets into the way."""

from __future__ import annotations

import ast
import asyncio
import functools
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import UUID

import cloudpickle
import pytest
from hypothesis import given, strategies

from gateway.prefect import Hooks
from gateway.prefect.objects import observe, observe_retry
from gateway.prefect.reach import reached
from gateway.sources.prefect.mapping import retry_id
from gateway.transition import Transition

ROOT = str(Path(__file__).parents[3])
MOMENT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Task:
    """Looks like one of Prefect's."""

    def __init__(self, fn: Callable[..., Any], name: str = "", **given: Any) -> None:
        self.fn, self.name = fn, name or fn.__name__
        self.retry_condition_fn = given.pop("retry_condition_fn", None)
        self.retry_delay_seconds = given.pop("retry_delay_seconds", 0)
        self.on_running_hooks = given.pop("on_running", [])
        self.on_completion_hooks = given.pop("on_completion", [])
        self.on_failure_hooks = given.pop("on_failure", [])


class Flow(Task):
    """Looks like one of Prefect's."""

    def __init__(self, fn: Callable[..., Any], name: str = "", **given: Any) -> None:
        self.on_crashed_hooks = given.pop("on_crashed", [])
        self.on_cancellation_hooks = given.pop("on_cancellation", [])
        super().__init__(fn, name, **given)
        del self.retry_condition_fn


Task.__module__ = "prefect.tasks"
Flow.__module__ = "prefect.flows"


class Box:
    """Keeps what it takes."""

    def __init__(self) -> None:
        self.taken: list[Transition] = []

    def take(self, transitions: Sequence[Transition]) -> None:
        self.taken += transitions


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def hooks(box: Box) -> Hooks:
    return Hooks(box, ui="http://prefect.test")


def state(kind: str = "FAILED", name: str = "Failed", data: object = None, **more: Any) -> Any:
    return SimpleNamespace(
        **{"id": UUID(int=7), "type": SimpleNamespace(value=kind), "name": name, "message": "boom"}
        | {"timestamp": MOMENT, "state_details": SimpleNamespace(scheduled_time=None), "data": data}
        | more
    )


def run_of_flow(**more: Any) -> Any:
    policy = SimpleNamespace(retries=2)
    return SimpleNamespace(
        **{"id": UUID(int=1), "name": "azure-fox", "tags": ["b", "a"], "parameters": {"day": 1}, "run_count": 1}
        | {"labels": {"team": "data", "prefect.flow.id": "x"}, "empirical_policy": policy, "start_time": MOMENT}
        | more
    )


def run_of_task(**more: Any) -> Any:
    return SimpleNamespace(
        **{"id": UUID(int=2), "name": "load-1cf", "task_key": "load-6a88", "dynamic_key": "1cf7", "run_count": 1}
        | {"flow_run_id": UUID(int=1), "flow_run_run_count": 1, "tags": {"etl"}, "labels": {}, "start_time": MOMENT}
        | more
    )


# being called


def test_whoever_finds_a_process_cancelled_or_crashed_calls_hooks_by_the_names_of_their_arguments(
    hooks: Hooks, box: Box
) -> None:
    flow = hooks.attach(Flow(extract))

    for hook in [*flow.on_cancellation_hooks, *flow.on_crashed_hooks, *flow.on_running_hooks]:
        hook(flow=flow, flow_run=run_of_flow(), state=state("CANCELLING", "Cancelling"))

    assert [one.state.type for one in box.taken] == ["Cancelling"] * 3


def test_a_cancellation_has_the_id_that_the_server_knows(hooks: Hooks, box: Box) -> None:
    asked = state("CANCELLING", "Cancelling", message="by hand")
    made_for_hooks = state("CANCELLING", "Cancelling", id=UUID(int=8))

    hooks(SimpleNamespace(name="etl"), run_of_flow(state=asked), made_for_hooks)
    hooks(SimpleNamespace(name="etl"), run_of_flow(state=state("RUNNING", "Running")), made_for_hooks)
    hooks(SimpleNamespace(name="etl"), run_of_flow(state=asked), state("CRASHED", "Crashed", id=UUID(int=9)))

    assert [one.id for one in box.taken] == [str(UUID(int=number)) for number in (7, 8, 9)]
    assert box.taken[0].state.message == "by hand"


# attaching


def extract() -> None:
    """Does nothing."""


def own(*_: Any) -> None:
    """Does nothing."""


load = Task(lambda: None, "load")
steps = [Task(lambda: None, "first"), {"not": "a task"}]
module = ModuleType("steps")
module.publish = Task(lambda: None, "publish")  # type: ignore[attr-defined]


class Steps:
    """A class may hold tasks."""

    inside = Task(lambda: None, "inside")


def helper() -> object:
    return load


def inner_code() -> object:
    return steps


inner = Flow(inner_code, "inner")


def names(found: Sequence[Any]) -> set[str]:
    return {one.name for one in found}


def test_the_tasks_that_a_flow_refers_to_are_found() -> None:
    enclosed = Task(lambda: None, "enclosed")
    default = Task(lambda: None, "default")

    def code(step: object = default) -> object:
        def nested() -> object:
            return module.publish, Steps.inside, step

        return helper(), inner, enclosed, nested()

    assert names(reached(Flow(code))) == {"load", "inner", "first", "publish", "inside", "enclosed", "default"}


def test_a_task_behind_a_decorator_is_found() -> None:
    @functools.wraps(helper)
    def wrapped() -> object:
        return helper()

    assert names(reached(Flow(wrapped))) == {"load"}


def test_a_task_of_a_module_imported_in_the_function_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "steps_of_mine", module)

    def code() -> object:
        import steps_of_mine

        return steps_of_mine.publish

    assert names(reached(Flow(code))) == {"publish"}


def test_flows_that_call_each_other_are_found_once() -> None:
    there = Flow(lambda: here, "there")
    here = Flow(lambda: there, "here")

    assert names(reached(here)) == {"there"}


def test_every_kind_of_hook_is_attached_once(hooks: Hooks) -> None:
    task = Task(extract)
    flow = Flow(lambda: task, on_failure=[own])

    assert hooks.attach(flow) is flow
    hooks.attach(flow)

    others = (flow.on_running_hooks, flow.on_completion_hooks, flow.on_crashed_hooks, flow.on_cancellation_hooks)
    assert [len(attached) for attached in others] == [1] * 4
    assert flow.on_failure_hooks == [own, hooks]
    assert (task.on_running_hooks, task.on_completion_hooks, task.on_failure_hooks) == ([hooks], [hooks], [hooks])
    condition = task.retry_condition_fn
    hooks.attach(task)
    assert task.retry_condition_fn is condition


def test_a_copy_that_shares_its_lists_is_not_attached_to() -> None:
    shared: list[Any] = []
    one, other = Task(extract, on_failure=shared), Task(extract, on_failure=shared)

    Hooks(Box()).attach(one)

    assert other.on_failure_hooks == []


def test_two_gateways_can_be_told(hooks: Hooks) -> None:
    task = Task(extract)

    hooks.attach(task)
    Hooks(Box()).attach(task)

    assert len(task.on_failure_hooks) == 2


def test_tasks_defined_later_are_found_when_the_flow_begins(hooks: Hooks, box: Box) -> None:
    tasks: list[Task] = []
    flow = hooks.attach(Flow(lambda: tasks, "etl"))
    tasks.append(Task(extract))

    flow.on_running_hooks[0](flow, run_of_flow(run_count=0), state("RUNNING", "Running"))

    assert tasks[0].on_failure_hooks == [hooks]
    assert [one.state.type for one in box.taken] == ["Running"]


class OldFlow:
    """Looks like one of Prefect 1's."""


OldFlow.__name__, OldFlow.__module__ = "Flow", "prefect.core.flow"


@pytest.mark.parametrize("wrong", [extract, None, "flow", 3, OldFlow()])
def test_what_is_no_flow_is_refused_in_words(hooks: Hooks, wrong: Any) -> None:
    with pytest.raises(TypeError, match="attached to a flow or a task of Prefect 3, not to"):
        hooks.attach(wrong)


def test_the_arguments_of_flows_and_tasks_name_every_hook(hooks: Hooks) -> None:
    assert set(hooks.of_flow) == {"on_running", "on_completion", "on_failure", "on_crashed", "on_cancellation"}
    assert set(hooks.of_task) == {"on_running", "on_completion", "on_failure", "retry_condition_fn"}
    assert Flow(extract, **hooks.of_flow).on_crashed_hooks == [hooks]


# telling


def test_a_flow_is_told_with_its_exception(hooks: Hooks, box: Box) -> None:
    try:
        raise ValueError("gone")
    except ValueError as error:
        hooks(SimpleNamespace(name="etl"), run_of_flow(), state(data=error))

    (one,) = box.taken
    assert (one.id, one.source, one.state.type) == (str(UUID(int=7)), "prefect3", "Failed")
    assert (one.flow.name, one.flow.run_name, one.flow.tags) == ("etl", "azure-fox", ("a", "b"))
    assert (one.flow.parameters, one.flow.labels, one.flow.max_retries) == ({"day": 1}, {"team": "data"}, 2)
    assert one.flow.url == f"http://prefect.test/runs/flow-run/{UUID(int=1)}"
    assert one.state.result["type"] == "ValueError"
    assert "raise ValueError" in one.state.result["traceback"]


def test_what_happens_to_objects_later_does_not_change_what_was_told(hooks: Hooks, box: Box) -> None:
    parameters = {"day": 1}

    hooks(SimpleNamespace(name="etl"), run_of_flow(parameters=parameters), state())
    parameters["day"] = 2

    assert box.taken[0].flow.parameters == {"day": 1}


@pytest.mark.parametrize(
    ("delays", "attempt", "name", "seconds"),
    [
        (0, 1, "Retrying", 0),
        (30, 1, "AwaitingRetry", 30),
        ([1, 5], 1, "AwaitingRetry", 1),
        ([1, 5], 9, "AwaitingRetry", 5),
    ],
)
def test_a_retry_is_due_after_its_delay(delays: Any, attempt: int, name: str, seconds: int) -> None:
    one = observe_retry(
        SimpleNamespace(name="load", retry_delay_seconds=delays), run_of_task(run_count=attempt), state()
    )

    assert (one.state.type, one.state.name, one.state.run_count) == ("Retrying", name, attempt)
    assert one.id == retry_id(str(UUID(int=2)), 1, attempt)
    assert one.state.start_time is not None
    assert (one.state.start_time - MOMENT).total_seconds() == seconds


@pytest.mark.parametrize("answer", [True, False])
def test_a_retry_is_told_if_there_will_be_one(hooks: Hooks, box: Box, answer: bool) -> None:
    condition = hooks.retry_condition(lambda task, run, state: answer)

    assert condition(Task(extract), run_of_task(), state()) is answer
    assert len(box.taken) == answer


def test_without_a_condition_of_its_own_a_task_is_tried_again(hooks: Hooks, box: Box) -> None:
    assert hooks.retry_condition()(Task(extract), run_of_task(), state()) is True
    assert len(box.taken) == 1


def test_an_asynchronous_condition_stays_one(hooks: Hooks, box: Box) -> None:
    async def patient(task: Any, run: Any, state: Any) -> bool:
        return True

    condition = hooks.retry_condition(patient)

    assert asyncio.iscoroutinefunction(condition)
    assert asyncio.run(condition(Task(extract), run_of_task(), state()))
    assert len(box.taken) == 1


def test_an_error_of_a_condition_is_its_own(hooks: Hooks, box: Box) -> None:
    def wrong(task: Any, run: Any, state: Any) -> bool:
        raise KeyError("x")

    with pytest.raises(KeyError):
        hooks.retry_condition(wrong)(Task(extract), run_of_task(), state())
    assert box.taken == []


def test_a_condition_that_prefect_does_not_call_is_left_alone(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    condition = functools.partial(own)
    task = Task(extract, retry_condition_fn=condition)

    hooks.attach(task)

    assert task.retry_condition_fn is condition
    assert "is no plain function" in caplog.text


@pytest.mark.parametrize("kind", ["flow", "task"])
def test_a_sink_that_raises_does_no_harm(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def take(self, transitions: Sequence[Transition]) -> None:
            raise OSError("no room")

    run = run_of_flow() if kind == "flow" else run_of_task()
    Hooks(Broken())(SimpleNamespace(name="etl"), run, state())

    assert "a state change was not told" in caplog.text


def test_a_type_that_nobody_knows_is_said(hooks: Hooks, box: Box, caplog: pytest.LogCaptureFixture) -> None:
    hooks(SimpleNamespace(name="etl"), run_of_flow(), state("GONE"))

    assert box.taken == []
    assert "Prefect 3 has no state type 'GONE'" in str(caplog.records[0].__dict__["error"])


class Hostile:
    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return object.__getattribute__(self, name)
        raise RuntimeError("not for you")


ODD = strategies.one_of(
    strategies.none(),
    strategies.integers(),
    strategies.text(max_size=5),
    strategies.builds(Hostile),
    strategies.lists(strategies.integers(), max_size=2),
    strategies.dictionaries(strategies.integers(), strategies.text(max_size=3), max_size=2),
)


@given(strategies.data())
def test_odd_objects_are_told_as_far_as_they_go(data: strategies.DataObject) -> None:
    is_task = data.draw(strategies.booleans())
    run = run_of_task() if is_task else run_of_flow()
    entered = state()
    for thing in (run, entered):
        for name in data.draw(strategies.lists(strategies.sampled_from(sorted(vars(thing))))):
            if name not in ("type", "task_key"):
                setattr(thing, name, data.draw(ODD))

    one = observe(data.draw(ODD), run, entered, "")

    assert (one.kind, one.state.type) == ("task" if is_task else "flow", "Failed")
    assert observe_retry(data.draw(ODD), run, entered, "").state.type == "Retrying"


def test_hooks_and_conditions_travel_to_other_processes(hooks: Hooks) -> None:
    condition = cloudpickle.loads(cloudpickle.dumps(hooks.retry_condition(lambda task, run, state: True)))

    assert condition(Task(extract), run_of_task(), state()) is True
    assert pickle.loads(pickle.dumps(hooks)).of_flow


def test_the_standard_library_is_all_it_needs() -> None:
    """Prefect 3 and the gateway need different versions of the same packages: hooks must do without."""
    program = "import sys, gateway.prefect; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({ROOT!r}); {program}"],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )

    foreign = set(ast.literal_eval(done.stdout)) - sys.stdlib_module_names - {"gateway", "__main__"}
    assert {name for name in foreign if not name.startswith("_")} == set()
