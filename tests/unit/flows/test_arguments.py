from __future__ import annotations

import pytest

from gateway import Flow, Parameter, Task, states, task
from gateway.flows.arguments import Arguments

A, B = Task("a"), Task("b")
RESULTS = {A: states.Success(result=1), B: states.Success(result=2)}


@pytest.mark.parametrize(
    ("argument", "filled", "tasks"),
    [
        (7, 7, []),
        ("text", "text", []),
        (A, 1, [A]),
        ([A, 5, B], [1, 5, 2], [A, B]),
        ((A, (B,)), (1, (2,)), [A, B]),
        ({"x": A, "y": [B, {"z": A}]}, {"x": 1, "y": [2, {"z": 1}]}, [A, B, A]),
        ({A, B}, {1, 2}, [A, B]),
        ([], [], []),
    ],
    ids=lambda given: type(given).__name__,
)
def test_tasks_stand_for_their_results_at_any_depth(argument, filled, tasks):
    arguments = Arguments.of((argument,), {"key": argument})

    assert arguments.filled(RESULTS) == ([filled], {"key": filled})
    assert set(arguments.tasks()) == set(tasks)


def test_a_value_without_tasks_is_handed_over_itself():
    seen: list[int] = []

    (given,), _ = Arguments.of((seen,), {}).filled({})

    assert given is seen


def test_containers_are_filled_anew_for_every_attempt():
    arguments = Arguments.of(([A],), {})

    assert arguments.filled(RESULTS)[0][0] is not arguments.filled(RESULTS)[0][0]


def test_a_key_adds_a_keyword():
    arguments = Arguments.of((), {"x": 1}).with_keyword("y", B)

    assert arguments.filled(RESULTS) == ([], {"x": 1, "y": 2})


@task
def give(value):
    return value


def test_results_flow_from_task_to_task():
    with Flow("f") as flow:
        day = Parameter("day", default=3)
        one = give(1)
        both = give([one, day])
        last = give(value={"both": both, "constant": "c"})

    state = flow.run(day=4)

    assert state.result[last].result == {"both": [1, 4], "constant": "c"}
    assert set(flow.upstream_tasks(both)) == {one, day}


def test_an_edge_with_a_key_passes_the_result_under_that_name():
    one, last = task(lambda: 5, name="one"), task(lambda x: x + 1, name="last")
    flow = Flow("f")
    flow.add_edge(one, last, key="x")

    assert flow.run().result[last].result == 6


def test_arguments_of_any_shape_python_allows_are_passed_on():
    @task
    def collect(first, /, *rest, key, **others):
        return first, rest, key, others

    with Flow("f") as flow:
        collected = collect(give(1), 2, give(3), key=give(4), other=5)

    assert flow.run().result[collected].result == (1, (2, 3), 4, {"other": 5})
