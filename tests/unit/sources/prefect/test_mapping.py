"""Prefect 3's events as transitions: the whole table over real samples, and everything else refused in words."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies

from gateway.encoding import encode
from gateway.errors import PayloadError
from gateway.sources.payload import parse_transition
from gateway.sources.prefect.mapping import failure_in, retry_id, task_name, transition_of
from gateway.sources.prefect.table import BY_NAME, BY_TYPE, state_class
from gateway.transition import MAX_TEXT, Transition

SAMPLES = Path(__file__).parents[3] / "samples" / "prefect3"
EVENTS = sorted(path.name.removeprefix("event.").removesuffix(".json") for path in SAMPLES.glob("event.*.json"))

OURS = {
    "flow-run.AwaitingConcurrencySlot": "Queued",
    "flow-run.AwaitingRetry": "Retrying",
    "flow-run.Cancelled": "Cancelled",
    "flow-run.Cancelling": "Cancelling",
    "flow-run.Completed": "Success",
    "flow-run.Crashed": "Crashed",
    "flow-run.Failed": "Failed",
    "flow-run.Failed.deployment": "Failed",
    "flow-run.Late": "Late",
    "flow-run.PartiallyDone": "Success",
    "flow-run.Paused": "Paused",
    "flow-run.Pending": "Pending",
    "flow-run.Resuming": "Resume",
    "flow-run.Running": "Running",
    "flow-run.Scheduled": "Scheduled",
    "flow-run.Submitting": "Submitted",
    "flow-run.Suspended": "Paused",
    "flow-run.TimedOut": "TimedOut",
    "task-run.AwaitingRetry": "Retrying",
    "task-run.Cached": "Cached",
    "task-run.Cancelled": "Cancelled",
    "task-run.Completed": "Success",
    "task-run.Crashed": "Crashed",
    "task-run.Failed": "Failed",
    "task-run.NotReady": "TriggerFailed",
    "task-run.Pending": "Pending",
    "task-run.Retrying": "Running",
    "task-run.RolledBack": "RolledBack",
    "task-run.Running": "Running",
    "task-run.TimedOut": "TimedOut",
}
NO_STATE_CHANGE = {
    "automation.action.executed.http500",
    "automation.action.failed.notification",
    "automation.action.failed.template",
    "flow-run.heartbeat",
    "flow-run.pull-step.executed",
}


def event(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SAMPLES / f"event.{name}.json").read_text())
    return found


def mapped(name: str, ui: str = "") -> Transition:
    transition = transition_of(event(name), ui)
    assert transition is not None
    return transition


def test_every_sample_is_in_the_table() -> None:
    assert set(EVENTS) == OURS.keys() | NO_STATE_CHANGE


@pytest.mark.parametrize(("name", "ours"), OURS.items())
def test_a_state_is_what_its_type_says_and_keeps_the_name_of_the_engine(name: str, ours: str) -> None:
    transition = mapped(name)

    assert transition.state.type == ours
    assert transition.state.name == event(name)["payload"]["validated_state"]["name"]
    assert transition.source == "prefect3"
    assert transition.occurred_at.isoformat().replace("+00:00", "Z") == event(name)["occurred"]


@pytest.mark.parametrize("name", sorted(NO_STATE_CHANGE))
def test_an_event_without_a_state_is_none(name: str) -> None:
    assert transition_of(event(name)) is None


@pytest.mark.parametrize(
    ("kind", "name", "before", "ours"),
    [
        ("PENDING", "InfrastructurePending", None, "Submitted"),
        ("COMPLETED", "Skipped", "RUNNING", "Skipped"),
        ("FAILED", "Too expensive", "RUNNING", "Failed"),
        ("CRASHED", "TimedOut", "RUNNING", "Crashed"),
        ("RUNNING", "Completed", "PENDING", "Running"),
        ("RUNNING", "Retrying", "SCHEDULED", "Running"),
        ("RUNNING", "Retrying", "RUNNING", "Retrying"),
        ("RUNNING", "Retrying", None, "Running"),
        ("SCHEDULED", "", None, "Scheduled"),
    ],
)
def test_a_name_says_more_only_beside_its_own_type(kind: str, name: str, before: str | None, ours: str) -> None:
    assert state_class(kind, name, before).type == ours


def test_every_type_of_the_table_of_names_exists() -> None:
    assert {kind for kind, _ in BY_NAME} <= BY_TYPE.keys()


def test_a_flow_run_tells_what_it_belongs_to() -> None:
    transition = mapped("flow-run.Failed.deployment", "https://prefect.test/")
    flow = transition.flow

    assert transition.id == "01a203ad-ad75-7d84-8a71-1e7cae26ce57"
    assert (flow.name, flow.run_name, flow.tags) == ("dep-flow", "illegal-pony", ("prod", "team-x"))
    assert flow.url == "https://prefect.test/runs/flow-run/b94e8a0c-8294-4ce1-b09d-90debd648291"
    assert flow.labels["deployment"] == "dep-a"
    assert (flow.labels["work_pool"], flow.labels["work_pool_type"]) == ("wp-local", "process")
    assert transition.state.result == {"type": "ValueError", "message": "dep boom globex"}
    assert (transition.state.run_count, transition.state.is_final()) == (1, True)
    assert transition.old_state is not None
    assert transition.old_state.type == "Running"


def test_a_task_run_tells_its_own_tags_and_those_of_its_flow() -> None:
    transition = mapped("task-run.Completed", "https://prefect.test")
    task = transition.task

    assert task is not None
    assert (task.name, task.run_name, task.tags) == ("ok", "ok-5b7", ("etl",))
    assert transition.flow.name == "dep-flow"
    assert set(transition.flow.tags) == {"etl", "prod", "team-x"}  # Prefect tells all in one list
    assert task.url.startswith("https://prefect.test/runs/task-run/")
    assert task.started_at is not None


def test_a_task_outside_of_a_flow_has_none_whatever_its_event_says() -> None:
    alone = changed("payload/task_run/dynamic_key", "flaky-6a88d3e5-1cf7")

    transition = transition_of(alone)

    assert transition is not None
    assert (transition.obj.flow, transition.flow.name, transition.obj.tags) == (None, "", ("t-retry",))


def test_a_retry_is_due_at_its_time_and_has_the_id_that_hooks_know() -> None:
    transition = mapped("task-run.AwaitingRetry")

    assert transition.state.start_time == datetime(2026, 11, 22, 14, 31, 53, 608112, UTC)
    assert transition.state.run_count == 1
    assert transition.obj.max_retries == 2
    assert transition.id == retry_id("01a203ab-adc1-7257-bbd3-303ccbca66bd", 1, 1)
    assert mapped("flow-run.AwaitingRetry").id == event("flow-run.AwaitingRetry")["id"]


def test_a_retry_without_delay_is_told_by_the_one_event_there_is() -> None:
    at_once = event("task-run.Retrying")
    at_once["payload"]["initial_state"] = {"type": "RUNNING", "name": "Running"}

    transition = transition_of(at_once)

    assert transition is not None
    assert (transition.state.type, transition.state.run_count) == ("Retrying", 1)
    assert transition.id == mapped("task-run.AwaitingRetry").id


def test_retry_ids_differ_by_run_by_attempt_and_by_attempt_of_the_flow() -> None:
    assert len({retry_id(run, flow, attempt) for run in "ab" for flow in (1, 2) for attempt in (1, 2)}) == 8


@pytest.mark.parametrize(
    ("run_name", "task_key", "dynamic_key", "name"),
    [
        ("Load orders-1cf", "load-6a88d3e5", "1cf79471-91c2", "Load orders"),
        ("load-0", "load-6a88d3e5", "0", "load"),
        ("load-1234", "load-6a88d3e5", "1234", "load"),
        ("load-123", "load-6a88d3e5", "1234", "load"),
        ("orders of monday", "load-6a88d3e5", "1cf79471-91c2", "load"),
        ("Load orders", "load-6a88d3e5", "load-6a88d3e5-77aa", "Load orders"),
        ("orders", "", "", "orders"),
        ("", "load", "1", "load"),
        ("", "", "", ""),
    ],
)
def test_the_name_of_a_task_is_what_its_author_wrote(run_name: str, task_key: str, dynamic_key: str, name: str) -> None:
    assert task_name(run_name, task_key, dynamic_key) == name


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("Flow run encountered an exception: ValueError: a: b", {"type": "ValueError", "message": "a: b"}),
        ("Task run encountered an exception KeyError: 'x'", {"type": "KeyError", "message": "'x'"}),
        ("Flow run encountered an exception: Stop", {"type": "Stop", "message": ""}),
        ("Execution was interrupted by an unexpected exception: OSError: a\nb", {"type": "OSError", "message": "a\nb"}),
        ("2/3 states failed.", None),
        ("", None),
        (None, None),
    ],
)
def test_the_exception_is_read_out_of_the_message(message: str | None, found: dict[str, str] | None) -> None:
    assert failure_in(message) == found


def test_a_huge_message_is_cut() -> None:
    huge = event("flow-run.Failed")
    huge["payload"]["validated_state"]["message"] = "x" * 100_000

    transition = transition_of(huge)

    assert transition is not None
    assert len(transition.state.message) == MAX_TEXT + 1


def changed(path: str, value: Any, name: str = "task-run.AwaitingRetry") -> dict[str, Any]:
    """A sample with the value at ``path`` replaced, or removed if it is ``...``."""
    whole = event(name)
    *owners, key = (int(part) if part.isdigit() else part for part in path.split("/"))
    place: Any = whole
    for owner in owners:
        place = place[owner]
    if value is ...:
        del place[key]
    else:
        place[key] = value
    return whole


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("id", ..., "id: is missing; right is text"),
        ("id", 7, "id: is a number; right is text"),
        ("id", "", "id: is empty"),
        ("event", None, "event: is missing; right is text"),
        ("occurred", ..., "occurred: is missing; right is a time such as"),
        ("occurred", "yesterday", "occurred: is text; right is a time such as"),
        ("occurred", "0001-01-01T00:00:00Z", "occurred: is text; right is a time such as"),
        ("resource", [], "resource: is a list; right is an object"),
        ("resource/prefect.resource.id", "prefect.flow-run.1", "does not begin with prefect.task-run."),
        ("resource/prefect.run-count", "many", "resource.prefect.run-count: is text; right is a whole number"),
        ("resource/prefect.resource.name", {}, "resource.prefect.resource.name: is an object; right is text"),
        ("related", "flow", "related: is text; right is a list"),
        ("related/0", {"prefect.resource.role": 3}, "related[0].prefect.resource.role: is a number; right is text"),
        ("payload/validated_state", None, "payload.validated_state: is missing; right is an object"),
        ("payload/validated_state/type", "GONE", "Prefect 3 has no state type 'GONE'; right is one of SCHEDULED"),
        ("payload/validated_state/type", ..., "payload.validated_state.type: is missing"),
        ("payload/validated_state/message", ["x"], "payload.validated_state.message: is a list; right is text"),
        ("payload/initial_state/type", "gone", "payload.initial_state.type: Prefect 3 has no state type 'gone'"),
        ("payload/task_run/task_key", 7, "payload.task_run.task_key: is a number; right is text"),
        ("payload/task_run/tags", ["a", 1], "payload.task_run.tags[1]: is a number; right is text"),
        ("payload/task_run/run_count", 1, None),
        ("payload/task_run/empirical_policy/retries", -1, "payload.task_run.empirical_policy.retries: is a number"),
        ("payload/task_run/start_time", True, "payload.task_run.start_time: is true or false; right is a time"),
        ("related", None, None),
        ("payload/initial_state", None, None),
        ("payload/task_run", ..., None),
    ],
)
def test_what_is_wrong_is_told_with_its_key_and_what_would_be_right(
    path: str, value: Any, complaint: str | None
) -> None:
    if complaint is None:
        assert transition_of(changed(path, value)) is not None
        return
    with pytest.raises(PayloadError) as caught:
        transition_of(changed(path, value))
    assert complaint in str(caught.value)
    assert len(set(caught.value.complaints)) == len(caught.value.complaints)


def test_all_that_is_wrong_is_told_at_once() -> None:
    wrong = changed("payload/validated_state/type", "GONE")
    wrong["occurred"] = wrong["id"] = None

    with pytest.raises(PayloadError) as caught:
        transition_of(wrong)

    assert len(caught.value.complaints) == 3


@pytest.mark.parametrize("whole", [None, [], "event", 3])
def test_no_object_is_no_event(whole: Any) -> None:
    with pytest.raises(PayloadError, match="right is an object"):
        transition_of(whole)


ODD = strategies.one_of(
    strategies.none(),
    strategies.booleans(),
    strategies.integers(),
    strategies.floats(),
    strategies.text(max_size=50),
    strategies.sampled_from(["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "\ud800", "\0", "x" * 5_000]),
    strategies.lists(strategies.integers(), max_size=3),
    strategies.dictionaries(strategies.text(max_size=5), strategies.integers(), max_size=2),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inside for place in places(item, (*path, key)))] if path or inside else []


@given(strategies.data())
def test_a_damaged_event_is_understood_or_refused_and_nothing_else(data: strategies.DataObject) -> None:
    whole = copy.deepcopy(event(data.draw(strategies.sampled_from(EVENTS))))
    for _ in range(data.draw(strategies.integers(1, 3))):
        path = data.draw(strategies.sampled_from([place for place in places(whole) if place] or [("event",)]))
        owner: Any = whole
        for key in path[:-1]:
            owner = owner[key]
        owner[path[-1]] = data.draw(ODD)
    try:
        transition = transition_of(whole, "https://prefect.test")
    except PayloadError as error:
        assert error.complaints
        return
    if transition is not None:
        assert parse_transition(encode(transition)).id == transition.id  # what is kept can be read again
