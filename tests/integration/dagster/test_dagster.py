"""The sensor in a real Dagster, telling a real gateway of a run of the example, by evaluations as the daemon makes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.sources.dagster import RUN_EVENTS, RUN_STATES, STEP_EVENTS
from gateway.transition import Transition
from tests import environments
from tests.packaged import ROOT, packaged
from tests.sidecar import Sidecar

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SCENARIO = Path(__file__).with_name("dagster_scenario.py")
NO_CHANGE = {"STEP_OUTPUT", "STEP_INPUT", "STEP_EXPECTATION_RESULT", "STEP_WORKER_STARTING", "STEP_WORKER_STARTED"}
"""Events of steps that change no state."""


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    with Sidecar(tmp_path_factory.mktemp("sidecar") / "it") as running:
        yield running


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, sidecar: Sidecar) -> dict[str, Any]:
    """What the scenario saw."""
    python = environments.required("dagster")
    home = tmp_path_factory.mktemp("dagster")
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    done = subprocess.run(
        [str(python), "-W", "ignore", str(SCENARIO)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "DAGSTER_HOME": str(home),
            "PYTHONPATH": f"{packaged(home / 'path')}:{ROOT / 'examples' / 'dagster'}",
            "GATEWAY_URL": sidecar.url,
            "GATEWAY_SPOOL": str(home / "spool"),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    read: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return read


@pytest.fixture(scope="module")
def told(seen: dict[str, Any], sidecar: Sidecar) -> list[Transition]:
    return sidecar.taken()


def of(told: list[Transition], name: str) -> list[tuple[str | None, str, int]]:
    found = [one for one in told if one.obj.run_name == name]
    return [(one.old_state and one.old_state.type, one.state.type, one.state.run_count) for one in found]


def test_a_run_is_told_of_with_the_state_before(told: list[Transition], seen: dict[str, Any]) -> None:
    runs = [one for one in told if one.kind == "flow"]

    assert [(one.old_state and one.old_state.type, one.state.type) for one in runs] == [
        (None, "Running"),
        ("Running", "Failed"),
    ]
    assert {one.obj.run_id for one in told if one.kind == "flow"} == {seen["now"]}
    assert runs[-1].obj.labels["team"] == "logistics"
    assert runs[-1].obj.url == f"http://127.0.0.1:3000/runs/{seen['now']}"
    assert "Steps failed: ['ship[3]']" in str(runs[-1].state.message)
    assert runs[-1].obj.started_at is not None


def test_steps_are_told_of_with_all_their_tries(told: list[Transition]) -> None:
    assert of(told, "reserve") == [
        (None, "Running", 1),
        ("Running", "Retrying", 1),
        ("Retrying", "Running", 2),
        ("Running", "Success", 2),
    ]
    assert of(told, "extract") == [(None, "Running", 1), ("Running", "Success", 1)]
    assert of(told, "ship[1]") == [(None, "Running", 1), ("Running", "Success", 1)]
    assert of(told, "ship[3]") == [(None, "Running", 1), ("Running", "Failed", 1)]


def test_what_was_before_the_first_evaluation_is_not_told(told: list[Transition], seen: dict[str, Any]) -> None:
    assert seen["past"] not in {one.flow.run_id for one in told}


def test_what_is_read_twice_is_told_once(told: list[Transition]) -> None:
    assert len(told) == 14
    assert len({one.id for one in told}) == len(told)


def test_a_failure_brings_the_error_of_the_users_code(told: list[Transition]) -> None:
    (failed,) = [one for one in told if one.task and one.state.type == "Failed"]

    assert (failed.obj.name, failed.obj.map_index) == ("ship", 3)
    assert failed.state.message == "order 3 has no address"
    assert failed.state.result["type"] == "ValueError"
    assert 'raise ValueError("order 3 has no address")' in failed.state.result["traceback"]
    assert failed.state.final is True


def test_a_retry_says_what_went_wrong(told: list[Transition]) -> None:
    (retrying,) = [one for one in told if one.state.type == "Retrying"]

    assert (retrying.state.message, retrying.state.name) == ("the warehouse does not answer", "STEP_UP_FOR_RETRY")


def test_of_runs_that_have_ended_nothing_is_remembered(seen: dict[str, Any]) -> None:
    assert seen["cursor"]["runs"] == {}


def test_every_status_of_dagster_is_a_state_of_ours(seen: dict[str, Any]) -> None:
    assert set(seen["statuses"]) == set(RUN_STATES)
    assert seen["events"] == dict(RUN_EVENTS)
    assert set(seen["steps"]) == set(STEP_EVENTS) | NO_CHANGE


def test_what_is_too_much_for_one_evaluation_is_told_by_the_next(seen: dict[str, Any]) -> None:
    parts = seen["parts"]

    assert len(parts) > 2
    assert max(map(len, parts)) <= 4
    assert [one for part in parts for one in part] == seen["whole"]
    assert seen["cursor_of_parts"] == seen["cursor"]
