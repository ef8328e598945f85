"""The states that Prefect's server keeps, as the same transitions that its events are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import PayloadError
from gateway.sources.prefect.history import transitions_of
from gateway.sources.prefect.mapping import retry_id, transition_of

SAMPLES = Path(__file__).parents[3] / "samples" / "prefect3"


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())


def test_the_states_of_a_run_are_its_transitions_in_order() -> None:
    states = sample("rest.flow_run_states")

    found = transitions_of("flow", sample("rest.flow-run"), [*reversed(states)], flow=sample("rest.flow"))

    assert [one.id for one in found] == [state["id"] for state in states]
    assert [one.state.type for one in found] == ["Scheduled", "Pending", "Submitted", "Running", "Failed"]
    assert found[0].old_state is None
    assert [one.old_state.type for one in found[1:] if one.old_state] == [one.state.type for one in found[:-1]]
    assert [one.state.run_count for one in found] == [0, 0, 0, 1, 1]
    assert [one.obj.started_at is None for one in found] == [True, True, True, False, False]


def test_a_state_tells_the_same_as_its_event() -> None:
    event = transition_of(sample("event.flow-run.Failed.deployment"), "https://prefect.test")
    history = transitions_of(
        "flow",
        sample("rest.flow-run"),
        sample("rest.flow_run_states"),
        flow=sample("rest.flow"),
        ui="https://prefect.test",
    )

    assert event is not None
    same = next(one for one in history if one.id == event.id)
    assert same.obj.parameters == {"customer": "globex", "boom": True}  # more than the event tells
    for attribute in ("source", "occurred_at", "state", "old_state"):
        assert getattr(same, attribute) == getattr(event, attribute)
    for attribute in ("name", "run_id", "run_name", "tags", "url"):
        assert getattr(same.obj, attribute) == getattr(event.obj, attribute)
    assert same.state.message == event.state.message


def test_a_retry_of_a_task_has_the_id_of_its_event() -> None:
    run, retry = sample("rest.task-run"), sample("event.task-run.AwaitingRetry")
    run |= {"id": "01a203ab-adc1-7257-bbd3-303ccbca66bd", **retry["payload"]["task_run"]}
    first = {"id": "s1", "type": "RUNNING", "name": "Running", "timestamp": "2026-11-22T14:31:52.6Z"}
    second = {"id": "s2", "type": "SCHEDULED", "name": "AwaitingRetry", "timestamp": "2026-11-22T14:31:52.7Z"}

    found = transitions_of("task", run, [first, second], flow_run=sample("rest.flow-run"), flow=sample("rest.flow"))

    event = transition_of(retry)
    assert event is not None
    assert [one.id for one in found] == ["s1", event.id]
    assert found[1].id == retry_id(run["id"], 1, 1)
    assert (found[1].obj.name, found[1].flow.name) == ("flaky", sample("rest.flow")["name"])


def test_the_task_run_that_stands_for_a_subflow_is_not_told() -> None:
    first = {"id": "s1", "type": "PENDING", "name": "Pending", "timestamp": "2026-11-22T14:31:52.6Z"}
    second = {"id": "s2", "type": "RUNNING", "name": "Running", "timestamp": "2026-11-22T14:31:52.7Z"}
    second["state_details"] = {"child_flow_run_id": "e6354c6b-4d24-458a-8c7c-afc1c5918627"}  # type: ignore[assignment]

    assert transitions_of("task", sample("rest.task-run"), [first, second]) == []


def test_a_retry_without_delay_is_told_once() -> None:
    states = [
        {"id": "s1", "type": "RUNNING", "name": "Running", "timestamp": "2026-11-22T14:31:52.6Z"},
        {"id": "s2", "type": "RUNNING", "name": "Retrying", "timestamp": "2026-11-22T14:31:52.7Z"},
        {"id": "s3", "type": "COMPLETED", "name": "Completed", "timestamp": "2026-11-22T14:31:52.8Z"},
    ]

    found = transitions_of("task", sample("rest.task-run"), states)

    assert [(one.state.type, one.state.run_count) for one in found] == [("Running", 1), ("Retrying", 1), ("Success", 2)]
    assert found[1].id == retry_id(sample("rest.task-run")["id"], 1, 1)


@pytest.mark.parametrize(
    ("run", "states", "complaint"),
    [
        (None, [], "run: is missing; right is an object"),
        ({}, [{"type": "RUNNING"}], "states[0].timestamp: is missing"),
        ({}, [3], "states[0]: is a number; right is an object"),
        ({}, "all", "states: is text; right is a list"),
        ({}, [{"type": "GONE", "timestamp": "2026-11-22T14:31:52Z"}], "states[0].type: Prefect 3 has no state type"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(run: Any, states: Any, complaint: str) -> None:
    with pytest.raises(PayloadError) as caught:
        transitions_of("flow", run, states)
    assert complaint in str(caught.value)
