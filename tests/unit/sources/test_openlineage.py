"""OpenLineage events as transitions: those of real clients, in the order in which they were sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.encoding import encode
from gateway.errors import PayloadError
from gateway.sources.openlineage import read_events
from gateway.sources.openlineage.events import EVENT_TYPES
from gateway.sources.openlineage.mapping import TYPES
from gateway.sources.payload import parse_transition
from gateway.sources.reading import Ignored, Misread
from gateway.sources.runs import Runs

SAMPLES = Path(__file__).parents[2] / "samples" / "openlineage"
NOW = datetime(2026, 11, 28, tzinfo=UTC)
ERRORS = {"airflow.sdk.exceptions.AirflowFailException: no use": False, "ValueError: try again": True}


def sample(name: str) -> dict[str, Any]:
    return json.loads((SAMPLES / f"runevent.{name}.json").read_text())


def airflow_events() -> list[dict[str, Any]]:
    """What Airflow 3.3.2 sent of one run of a DAG with every kind of end a task can have."""
    return [json.loads(line) for line in (SAMPLES / "airflow-3.3.2.orders.jsonl").read_text().splitlines()]


def read(*events: Any) -> list[Any]:
    return read_events(json.dumps(list(events)).encode(), NOW)


def told(*events: Any) -> list[Any]:
    """The transitions of ``events``, each with the state before."""
    runs = Runs(lambda keys: {})
    return [one for reading in read(*events) if isinstance(reading, tuple) for one in runs.settle(reading)]


def change(transition: Any) -> tuple[str, str | None, str]:
    return transition.obj.name, transition.old_state and transition.old_state.type, transition.state.type


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("START.job", ("flow", "orders", "Running")),
        ("START.task", ("task", "cleanup", "Running")),
        ("RUNNING.task", ("task", "extract", "Running")),
        ("COMPLETE.task", ("task", "extract", "Success")),
        ("FAIL.task", ("task", "load", "Failed")),
        ("FAIL.job", ("flow", "orders", "Failed")),
        ("ABORT.task", ("task", "cleanup", "Cancelled")),
    ],
)
def test_event_types_are_states_and_a_run_within_another_is_a_task(name, expected) -> None:
    (one,) = told(sample(name))

    assert (one.kind, one.obj.name, one.state.type) == expected
    assert (one.source, one.state.name) == ("openlineage", name.partition(".")[0])
    assert one.flow.name == "orders"
    assert parse_transition(encode(one)).obj == one.obj


def test_what_a_client_tells_beside_it_is_where_rules_look_for_it() -> None:
    (one,) = told(sample("FAIL.task"))

    assert one.state.message == "ValueError: bad input"
    assert one.state.result["language"] == "python"
    assert one.state.result["traceback"].startswith("Traceback")
    assert one.obj.labels == {
        "env": "prod",
        "namespace": "acme",
        "integration": "AIRFLOW",
        "owner": "team:data",
        "nominal_time": "2026-11-22T15:00:00Z",
    }
    assert one.occurred_at == datetime(2026, 11, 22, 15, 0, 5, tzinfo=UTC)


def test_the_states_of_a_real_run_of_airflow_are_those_of_airflow() -> None:
    """Tries are one run; skipped, not tried again and failed upstream are told apart, the latter at the end."""
    assert [change(one) for one in told(*airflow_events())] == [
        ("skip", None, "Running"),
        ("skip", "Running", "Success"),  # its own events say no more; the last one of the DAG does
        ("choose", None, "Running"),
        ("choose", "Running", "Success"),
        ("flaky", None, "Running"),
        ("flaky", "Running", "Retrying"),
        ("extract", None, "Running"),
        ("extract", "Running", "Success"),
        ("hopeless", None, "Running"),
        ("hopeless", "Running", "Failed"),  # three more tries are allowed, and its exception forbids them
        ("each", None, "Running"),
        ("each", "Running", "Failed"),
        ("flaky", "Retrying", "Running"),
        ("flaky", "Running", "Success"),
        ("left", None, "Running"),
        ("left", "Running", "Success"),
        ("each", None, "Running"),
        ("each", "Running", "Success"),
        ("after", None, "TriggerFailed"),
        ("right", None, "Skipped"),
        ("skip", "Success", "Skipped"),
        ("orders", None, "Failed"),
    ]


def test_a_task_of_airflow_is_known_by_dag_run_task_and_map_index() -> None:
    transitions = told(*airflow_events())
    run = "acme/orders/manual__2026-11-27T20:04:55.345558+00:00"

    of = {(one.obj.name, one.obj.map_index): one for one in transitions}
    assert {one.obj.run_id for one in transitions if one.obj.name == "flaky"} == {f"{run}/flaky"}
    assert of["each", 1].obj.run_id == f"{run}/each/1"
    last = of["each", 1]
    assert (last.state.run_count, last.state.final, last.flow.run_id) == (1, True, run)
    assert (last.flow.parameters, last.flow.tags, last.obj.tags) == ({"day": "monday"}, ("prod",), ("prod",))
    assert last.obj.url.endswith("/tasks/each/mapped/1?try_number=1")
    assert last.obj.started_at is not None
    assert of["orders", None].state.message == "task_failure: each, hopeless"
    assert of["right", None].flow.run_id == run
    assert len({one.id for one in transitions}) == len(transitions)


@pytest.mark.parametrize(("tries", "retries", "expected"), [(1, 0, "Failed"), (1, 1, "Retrying"), (2, 1, "Failed")])
def test_a_failed_try_is_retrying_while_more_are_allowed(tries, retries, expected) -> None:
    event = next(one for one in airflow_events() if one["eventType"] == "FAIL" and "flaky" in one["job"]["name"])
    event["run"]["facets"]["airflow"]["taskInstance"]["try_number"] = tries
    event["run"]["facets"]["airflow"]["task"]["retries"] = retries

    (one,) = told(event)

    assert (one.state.type, one.state.run_count, one.obj.max_retries) == (expected, tries, retries)


def test_a_task_that_died_without_a_word_is_failed_when_its_dag_ends() -> None:
    events = [one for one in airflow_events() if one["eventType"] != "FAIL" or one["job"]["name"] == "orders"]

    assert ("hopeless", "Running", "Failed") in [change(one) for one in told(*events)]


def test_repeats_have_the_same_id_and_change_nothing() -> None:
    once, again = told(*airflow_events()), told(*airflow_events(), *airflow_events())

    assert {one.id for one in once} == {one.id for one in again}


def test_a_run_that_goes_on_running_is_no_news() -> None:
    first, second = sample("RUNNING.task"), sample("RUNNING.task") | {"eventTime": "2026-11-22T15:09:00Z"}

    assert len(told(first, second)) == 1


def test_an_end_that_is_told_twice_is_told_of_once_whoever_tells_it() -> None:
    first = sample("COMPLETE.task")
    later = first | {"eventTime": "2026-11-23T15:09:00Z"}

    assert len(told(first, later)) == 1
    assert len(told(later, first)) == 1


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (sample("OTHER.task"), "no_state"),
        ({key: value for key, value in sample("START.task").items() if key != "eventType"}, "no_state"),
        ({"eventTime": "2026-11-22T15:00:00Z", "job": {"namespace": "a", "name": "b"}}, "no_run"),
        ({"eventTime": "2026-11-22T15:00:00Z", "dataset": {"namespace": "a", "name": "b"}}, "no_run"),
    ],
    ids=["OTHER", "no event type", "job event", "dataset event"],
)
def test_events_that_change_no_state_are_ignored(event, why) -> None:
    assert read(event) == [Ignored(why)]


def changed(path: str, value: Any) -> dict[str, Any]:
    """A good event but for one key; ``...`` for none of it."""
    event = sample("FAIL.task")
    *parents, last = path.split(".")
    inner = event
    for key in parents:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return event


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        (changed("eventType", "COMPLTE"), "eventType: there is no event type 'COMPLTE', did you mean 'COMPLETE'?"),
        (changed("eventType", 3), "eventType: Input should be a valid string"),
        (changed("eventTime", ...), "eventTime: is missing"),
        (changed("eventTime", "yesterday"), "eventTime: Input should be a valid datetime"),
        (changed("eventTime", "2026-11-22T15:00:00"), "eventTime: Input should have timezone info"),
        (changed("eventTime", "2031-01-01T00:00:00Z"), "eventTime: 2031-01-01T00:00:00+00:00 lies more than a day"),
        (changed("run.runId", ...), "run.runId: is missing"),
        (changed("run.runId", 7), "run.runId: Input should be a valid string"),
        (changed("job", ...), "job: is missing"),
        (changed("job.name", ""), "job.name: String should have at least 1 character"),
        (changed("run.facets.parent.run", []), "run.facets.parent.run: Input should be an object"),
        (changed("run.facets.errorMessage.message", {}), "run.facets.errorMessage.message: Input should be a valid"),
        ({}, "run: is missing"),
        ([], "the event: Input should be an object"),
        (None, "the event: Input should be an object"),
    ],
)
def test_what_is_wrong_with_an_event_is_told_by_its_key(event, complaint) -> None:
    (one,) = read(event)

    assert isinstance(one, Misread)
    assert any(told.startswith(complaint) for told in one.complaints), one.complaints
    assert json.loads(one.text) == event


def test_what_is_not_known_is_passed_over() -> None:
    event = changed("run.facets.spark_unknown", [1]) | {"newer": {"than": "this"}}

    assert len(told(event)) == 1


def test_what_is_not_json_is_refused_as_a_whole() -> None:
    for body in (b"", b"{", b"[{]", b'{"a": "\xff"}'):
        with pytest.raises(PayloadError, match="not JSON"):
            read_events(body, NOW)


@pytest.mark.parametrize(("error", "is_retried"), ERRORS.items())
def test_some_errors_of_airflow_are_final(error, is_retried) -> None:
    event = next(one for one in airflow_events() if one["eventType"] == "FAIL" and "flaky" in one["job"]["name"])
    event["run"]["facets"]["errorMessage"]["stackTrace"] = f"Traceback (most recent call last):\n  x\n{error}\n"

    (one,) = told(event)

    assert (one.state.type == "Retrying") is is_retried


def test_the_page_tells_what_becomes_of_every_event_type() -> None:
    page = (Path(__file__).parents[3] / "docs" / "engines" / "openlineage.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    told = {word: row.split("|")[2] for row in rows for word in EVENT_TYPES if f"`{word}`" in row.split("|")[1]}

    assert told.keys() == {*EVENT_TYPES}
    assert all(f"`{type}`" in told[word] for word, type in TYPES.items())
    assert told["OTHER"].strip() == ""
