"""docs/engines/states.md: every event of every sample is a state of its tables, or known to be none."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.sources.airflow import run_transition, task_transition
from gateway.sources.dagster import Known
from gateway.sources.dagster import transition_of as dagster_transition
from gateway.sources.openlineage import read_events
from gateway.sources.prefect.mapping import transition_of
from gateway.sources.reading import Ignored
from gateway.states import STATES
from tests import environments

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "engines" / "states.md").read_text()
SAMPLES = ROOT / "tests" / "samples"
NOW = datetime(2026, 11, 28, tzinfo=UTC)


def rows(name: str) -> list[list[str]]:
    """The cells of a table of the page."""
    found = re.search(rf"^<!-- begin: {name} -->\n(.*?)^<!-- end", PAGE, re.MULTILINE | re.DOTALL)
    assert found, name
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in found[1].splitlines()[2:]]


@pytest.mark.parametrize("name", re.findall(r"^<!-- begin: (.+) -->$", PAGE, re.MULTILINE))
def test_a_table_ends_in_states_of_ours(name: str) -> None:
    told = {state for row in rows(name) for state in re.split(r"`, or `|` if ", row[-1])}

    assert told
    assert told <= {*STATES, "no change of state", "it took too long"}


# Prefect 3

NO_STATE_CHANGE = ("event.automation.", "event.flow-run.heartbeat", "event.flow-run.pull-step.")

PREFECT_3 = sorted((SAMPLES / "prefect3").glob("event.*.json"))


@pytest.mark.parametrize("path", PREFECT_3, ids=lambda path: path.stem.removeprefix("event."))
def test_an_event_of_prefect_3_is_in_the_table(path: Path) -> None:
    event = json.loads(path.read_text())
    transition = transition_of(event)

    if path.name.startswith(NO_STATE_CHANGE):
        assert transition is None
        return
    assert transition is not None
    state = event["payload"]["validated_state"]
    assert transition.state.type == prefect_3_table(state["type"], state["name"], before(event))


def prefect_3_table(kind: str, name: str, before: str) -> str:
    told = {(of_kind, of_name): state for of_kind, of_name, state in rows("prefect 3")}
    straight = told.get((kind, f"{name}` straight after `{before}"))
    return straight or told.get((kind, name)) or told[kind, "any other"]


def before(event: Mapping[str, Any]) -> str:
    return (event["payload"].get("initial_state") or {}).get("type", "")


def test_the_samples_of_prefect_3_have_every_type_of_the_table() -> None:
    seen = {
        json.loads(path.read_text()).get("payload", {}).get("validated_state", {}).get("type") for path in PREFECT_3
    }

    assert {row[0] for row in rows("prefect 3")} <= seen


@pytest.mark.slow
def test_prefect_3_has_no_type_that_is_not_in_the_table() -> None:
    listed = (
        "import json; from prefect.client.schemas.objects import StateType; print(json.dumps([*StateType.__members__]))"
    )

    assert set(told_by("prefect3", listed)) == {row[0] for row in rows("prefect 3")}


def told_by(name: str, script: str) -> Any:
    """What ``script`` prints last, run by an engine's own Python."""
    done = subprocess.run([environments.required(name), "-c", script], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# Prefect 1


@pytest.mark.slow
def test_every_state_of_prefect_1_is_in_the_table() -> None:
    listed = (
        "import json; from prefect.engine import state;"
        "print(json.dumps([n for n, c in vars(state).items() if isinstance(c, type) and issubclass(c, state.State)]))"
    )
    classes = {name for name in told_by("prefect1", listed) if not name.startswith("_")}

    assert classes == {row[0] for row in rows("prefect 1")}
    assert all(row[0] == row[1] for row in rows("prefect 1"))


# OpenLineage


def openlineage_events() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((SAMPLES / "openlineage").glob("*.json*")):
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        for number, line in enumerate(lines, 1):
            yield f"{path.stem}:{number}", json.loads(line)


@pytest.mark.parametrize(
    ("name", "event"), [*openlineage_events()], ids=lambda value: value if type(value) is str else ""
)
def test_an_event_of_openlineage_is_in_the_table(name: str, event: dict[str, Any]) -> None:
    [reading] = read_events(json.dumps([event]).encode(), NOW)
    told = dict(rows("openlineage"))

    if isinstance(reading, Ignored):
        assert event["eventType"] not in told
        return
    assert isinstance(reading, tuple), reading
    *corrections, last = [one.transition.state.type for one in reading]
    expected = told[event["eventType"]]
    assert last == expected or (expected, last) == ("Failed", "Retrying")
    assert set(corrections) <= {state for _, state in rows("airflow by openlineage")}


# Airflow


@pytest.mark.parametrize("path", sorted((SAMPLES / "airflow").glob("*.json")), ids=lambda path: path.stem)
def test_what_a_listener_of_airflow_hears_is_in_the_table(path: Path) -> None:
    heard = json.loads(path.read_text(), object_hook=lambda values: SimpleNamespace(**values))
    hook = heard.kind.rpartition("_")[2]
    if hasattr(heard, "dag_run"):
        name, word = "airflow runs", heard.dag_run.state
        transition = run_transition(heard.dag_run, hook, heard.msg)
    else:
        instance = heard.task_instance
        name, word = "airflow", airflow_word(instance.state)
        instance.state = word
        transition = task_transition(airflow_word(heard.previous_state), instance, hook, getattr(heard, "error", None))

    assert transition.state.type == dict(rows(name))[word].partition("`")[0]
    assert transition.state.name == word


def airflow_word(told: str) -> str:
    """The value of a member of an enumeration that the sample shows by its name."""
    return told.rpartition(".")[2].lower()


@pytest.mark.slow
def test_every_state_of_airflow_is_in_the_table() -> None:
    listed = (
        "import json; from airflow.utils.state import DagRunState, TaskInstanceState;"
        "print(json.dumps([[one.value for one in kind] for kind in (TaskInstanceState, DagRunState)]))"
    )
    tasks, runs = told_by("airflow", listed)

    assert set(tasks) == {row[0] for row in rows("airflow")}
    assert set(runs) == {row[0] for row in rows("airflow runs")}


# Dagster


def dagster_events() -> Iterator[tuple[str, str]]:
    """Each event of the tables with its state."""
    for _, events, state in rows("dagster"):
        yield from ((event, state) for event in re.findall(r"\w+", events))
    yield from ((event, state) for event, state in rows("dagster steps"))


def dagster_log() -> list[dict[str, Any]]:
    return json.loads((SAMPLES / "dagster" / "event-log.failed-run.json").read_text())


@pytest.mark.parametrize("told", dagster_log(), ids=lambda told: f"{told['event_type']}-{told['step_key'] or 'run'}")
def test_an_event_of_a_log_of_dagster_is_in_the_table(told: dict[str, Any]) -> None:
    by_event = dict(dagster_events())
    fields = {"event_type_value": told["event_type"], "step_key": told["step_key"], "message": told["message"]}
    event = SimpleNamespace(**fields, event_specific_data=None)
    entry = SimpleNamespace(dagster_event=event, timestamp=told["timestamp"], run_id=told["run_id"])
    run = SimpleNamespace(job_name=told["job_name"], run_id=told["run_id"], run_config={}, tags={})

    transition = dagster_transition(entry, run, Known())

    if transition is None:
        assert told["event_type"] not in by_event
    else:
        assert transition.state.type == by_event[told["event_type"]]


def test_the_status_that_a_sensor_of_dagster_hears_is_in_the_table() -> None:
    heard = json.loads((SAMPLES / "dagster" / "run_status_sensor.FAILURE.json").read_text())
    told = {status: (event, state) for status, event, state in rows("dagster")}

    assert told[heard["status"]] == (heard["event_type"], "Failed")


@pytest.mark.slow
def test_every_status_of_dagster_is_in_the_table_and_every_event_is_one_of_its() -> None:
    listed = (
        "import json; from dagster import DagsterEventType, DagsterRunStatus;"
        "print(json.dumps([[one.value for one in kind] for kind in (DagsterRunStatus, DagsterEventType)]))"
    )
    statuses, events = told_by("dagster", listed)

    assert set(statuses) == {row[0] for row in rows("dagster")}
    assert set(dict(dagster_events())) <= set(events)
