"""The log of a real run that failed, as Dagster keeps it, in our words."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gateway.sources.dagster import RUN_STATES, STEP_EVENTS, Known, transition_of
from gateway.states import STATES
from gateway.transition import Transition

LOG = Path(__file__).parents[2] / "samples" / "dagster" / "event-log.failed-run.json"
RUN = SimpleNamespace(
    run_id="bf1a362c-de09-4dee-b63f-3f37daa84abb",
    job_name="orders",
    run_config={"ops": {}},
    tags={"env": "prod", ".dagster/repository": "hidden"},
)


def entry(written: dict[str, Any]) -> SimpleNamespace:
    error = None
    if written.get("error"):
        cause = SimpleNamespace(cls_name="ValueError", message="ValueError: boom\n", stack=["  line\n"], cause=None)
        error = SimpleNamespace(cls_name="Wrapped", message=written["error"], stack=[], cause=cause)
    event = SimpleNamespace(
        event_type_value=written["event_type"],
        step_key=written["step_key"],
        message=written["message"],
        event_specific_data=SimpleNamespace(error=error, seconds_to_wait=None),
    )
    return SimpleNamespace(run_id=written["run_id"], timestamp=written["timestamp"], dagster_event=event)


def told() -> list[Transition]:
    known = Known()
    made = [transition_of(entry(one), RUN, known, ui="http://dagster/") for one in json.loads(LOG.read_text())]
    return [one for one in made if one is not None]


def test_the_log_of_a_run_becomes_its_changes() -> None:
    assert [
        (one.obj.name, one.old_state and one.old_state.type, one.state.type, one.state.run_count) for one in told()
    ] == [
        ("orders", None, "Running", 0),
        ("ok", None, "Running", 1),
        ("ok", "Running", "Success", 1),
        ("bad", None, "Running", 1),
        ("bad", "Running", "Retrying", 1),
        ("bad", "Retrying", "Running", 2),
        ("bad", "Running", "Failed", 2),
        ("orders", "Running", "Failed", 0),
    ]


def test_read_again_it_is_the_same() -> None:
    first, second = told(), told()

    assert [one.id for one in first] == [one.id for one in second]
    assert len({one.id for one in first}) == len(first)


def test_the_users_own_error_is_told_not_what_wraps_it() -> None:
    (failed,) = [one for one in told() if one.task and one.state.type == "Failed"]

    assert (failed.state.message, failed.state.result["type"]) == ("boom", "ValueError")
    assert failed.state.result["traceback"].startswith("Traceback (most recent call last):\n  line\n")


def test_what_is_hidden_in_dagster_stays_so() -> None:
    assert told()[0].obj.labels == {"env": "prod"}


def test_a_line_that_is_no_event_is_no_change() -> None:
    assert transition_of(SimpleNamespace(dagster_event=None), RUN, Known()) is None


def test_every_word_is_a_state_there_is() -> None:
    assert {*RUN_STATES.values(), *STEP_EVENTS.values()} <= set(STATES)
