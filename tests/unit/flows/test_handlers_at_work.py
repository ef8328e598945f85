"""The uses state handlers are made for, told as short scripts: print, post, inspect, compose."""

from __future__ import annotations

import pytest

from gateway import Flow, Task, callback_factory, signals, task
from gateway.flows import Runner


@pytest.fixture
def clock_flow(clock):
    return lambda made: Runner(Flow("f", tasks=[made]), clock=clock).run({})


def announce(obj, old_state, new_state):
    print(f"{obj}: {old_state} -> {new_state}")
    return new_state


def test_a_handler_on_a_flow_prints_its_changes(capsys):
    Flow(name="state-handler-demo", tasks=[Task()], state_handlers=[announce]).run()

    assert capsys.readouterr().out.splitlines() == [
        '<Flow: name=state-handler-demo>: Scheduled() -> Running("Running flow.")',
        '<Flow: name=state-handler-demo>: Running("Running flow.") -> Success("All reference tasks succeeded.")',
    ]


def test_a_handler_on_a_task_prints_its_changes(capsys):
    Flow(name="state-handler-demo", tasks=[Task(state_handlers=[announce])]).run()

    assert capsys.readouterr().out.splitlines() == [
        '<Task: Task>: Pending() -> Running("Starting task run.")',
        '<Task: Task>: Running("Starting task run.") -> Success("Task run succeeded.")',
    ]


def told_of(order, limit):
    class OverLimit(Exception):
        pass

    if order > limit:
        raise OverLimit(order)
    return order


def test_retries_tell_when_they_are_due(clock_flow):
    told = []

    def on_retry(obj, old_state, new_state):
        if new_state.is_retrying():
            told.append(f"{obj} retries at {new_state.start_time:%H:%M} after {old_state.result!r}")

    flaky = task(lambda: told_of(7, limit=5), name="flaky", max_retries=1, retry_delay=600, state_handlers=[on_retry])

    clock_flow(flaky)

    assert told == ["<Task: flaky> retries at 12:10 after OverLimit(7)"]


@pytest.mark.parametrize("make", ["by hand", "by factory"])
def test_the_factory_makes_the_handler_one_would_write(make, clock_flow):
    told = []

    def tell(obj, state):
        told.append(f"{obj.name}: {state.message}")

    def by_hand(obj, old_state, new_state):
        if new_state.is_retrying():
            tell(obj, new_state)
        return new_state

    handler = by_hand if make == "by hand" else callback_factory(tell, lambda state: state.is_retrying())
    flaky = task(lambda: told_of(7, limit=5), name="flaky", max_retries=2, state_handlers=[handler])

    clock_flow(flaky)

    assert told == ["flaky: Retrying Task (after attempt 1 of 3)", "flaky: Retrying Task (after attempt 2 of 3)"]


def test_a_special_failure_carries_data_to_its_handler():
    alarms = []

    def alarm(obj, old_state, new_state):
        if new_state.is_failed() and getattr(new_state.result, "page_someone", False):
            alarms.append((obj.name, new_state.message, new_state.result.level))

    @task(state_handlers=[alarm])
    def fill(tank, level):
        if level > 100:
            overflow = signals.FAIL(f"{tank} runs over")
            overflow.page_someone = True
            overflow.level = level
            raise overflow
        return 100 / (100 - level)

    with Flow("tanks") as flow:
        well = fill("north", 60)
        special = fill("south", 120)
        ordinary = fill("west", 100)

    result = flow.run().result

    assert alarms == [("fill", "south runs over", 120)]
    assert result[well].result == 2.5
    assert result[special].result.level == 120
    assert isinstance(result[ordinary].result, ZeroDivisionError)


def test_several_handlers_are_called_in_the_order_given():
    told = []
    handlers = [lambda obj, old, new, name=name: told.append((name, new.type)) for name in ("first", "second")]

    Flow("f", tasks=[Task(state_handlers=handlers)]).run()

    assert told == [("first", "Running"), ("second", "Running"), ("first", "Success"), ("second", "Success")]


def test_on_failure_is_the_short_way_for_tasks_and_flows():
    told = []

    def tell(obj, state):
        told.append(f"{obj} {state.message}")

    broken = task(lambda: told_of(7, limit=5), name="broken", on_failure=tell)

    Flow("f", tasks=[broken, task(lambda: None, name="fine", on_failure=tell)], on_failure=tell).run()

    assert told == [
        "<Task: broken> Error during execution of task: OverLimit(7)",
        "<Flow: name=f> Some reference tasks failed.",
    ]
