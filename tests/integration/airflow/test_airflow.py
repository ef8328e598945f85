"""The listener plugin in a real Airflow, found by its entry point, telling a real gateway of a run of the example."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.sources.airflow import RUN_STATES, TASK_STATES
from gateway.transition import Transition
from tests import environments
from tests.packaged import ROOT, packaged
from tests.sidecar import Sidecar

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DAGS = ROOT / "examples" / "airflow" / "dags"
SCRIPT = """
import json
import sys
from airflow.utils.state import DagRunState, TaskInstanceState
from gateway.airflow import GatewayPlugin

unasked = [name for name in ("gateway.airflow.listener", "gateway.client") if name in sys.modules]

from gateway.airflow.listener import GatewayListener

listener = GatewayListener()
for odd in (None, object(), "text"):
    listener.on_task_instance_running(odd, odd)
    listener.on_task_instance_failed(odd, odd, odd)
    listener.on_dag_run_running(odd, odd)
    listener.on_dag_run_failed(odd, odd)
    listener.before_stopping(odd)
states = [[member.value for member in one] for one in (TaskInstanceState, DagRunState)]
print(json.dumps({"states": states, "listeners": len(GatewayPlugin.listeners), "unasked": unasked}))
"""


@dataclass(frozen=True)
class Airflow:
    """An Airflow with an empty database, and the example's DAG."""

    python: Path
    variables: Mapping[str, str]

    def run(self, *command: str, ends: int = 0, **variables: str) -> str:
        done = subprocess.run(
            [str(self.python), *command],
            env={**self.variables, **variables},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == ends, (done.stdout + done.stderr)[-3000:]
        return done.stdout


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    python = environments.required("airflow")
    home = tmp_path_factory.mktemp("airflow")
    made = Airflow(
        python,
        {
            "PATH": f"{python.parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONPATH": str(packaged(home / "path")),
        },
    )
    made.run("-m", "airflow", "db", "migrate")
    return made


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    with Sidecar(tmp_path_factory.mktemp("sidecar") / "it") as running:
        yield running


@pytest.fixture(scope="module")
def told(airflow: Airflow, sidecar: Sidecar) -> list[Transition]:
    """What a run of the example told the gateway; its process ends right after its last task."""
    test = ("dags", "test", "orders", "--conf", json.dumps({"day": "monday"}))
    airflow.run("-m", "airflow", *test, ends=1, GATEWAY_URL=sidecar.url, GATEWAY_SPOOL=spool(airflow))
    return sidecar.taken()


def spool(airflow: Airflow) -> str:
    return str(Path(airflow.variables["HOME"]) / "spool")


def of(told: list[Transition], name: str) -> list[tuple[str, str | None, str, int]]:
    return [
        (one.obj.run_name, one.old_state and one.old_state.type, one.state.type, one.state.run_count)
        for one in told
        if one.obj.name == name
    ]


def test_every_task_is_told_of_with_all_its_tries(told: list[Transition]) -> None:
    assert of(told, "extract") == [
        ("extract", "Submitted", "Running", 1),
        ("extract", "Running", "Success", 1),
    ]
    assert of(told, "reserve") == [
        ("reserve", "Submitted", "Running", 1),
        ("reserve", "Running", "Retrying", 1),
        ("reserve", "Submitted", "Running", 2),
        ("reserve", "Running", "Success", 2),
    ]
    assert of(told, "invoice") == [("invoice", "Submitted", "Running", 1), ("invoice", "Running", "Skipped", 1)]


def test_mapped_tasks_are_told_apart(told: list[Transition]) -> None:
    assert sorted(of(told, "ship"), key=str) == [
        *(("ship[0]", *change) for change in (("Running", "Success", 1), ("Submitted", "Running", 1))),
        *(("ship[1]", *change) for change in (("Running", "Success", 1), ("Submitted", "Running", 1))),
        *(("ship[2]", *change) for change in (("Running", "Failed", 1), ("Submitted", "Running", 1))),
    ]
    assert {one.obj.map_index for one in told if one.obj.name == "ship"} == {0, 1, 2}


def test_a_task_that_could_not_run_is_told_of_as_the_run_ends(told: list[Transition]) -> None:
    assert of(told, "report") == [("report", None, "TriggerFailed", 0)]


def test_the_run_is_told_of_last(told: list[Transition]) -> None:
    run = told[-1]

    assert len(told) == 16
    assert (run.kind, run.obj.name, run.state.type, run.state.message) == ("flow", "orders", "Failed", "task_failure")
    assert (run.obj.tags, run.obj.parameters) == (("prod",), {"day": "monday"})
    assert run.obj.url.endswith(f"/dags/orders/runs/{run.obj.run_name.replace(':', '%3A').replace('+', '%2B')}")
    assert run.obj.started_at is not None


def test_all_tries_and_children_are_of_one_run(told: list[Transition]) -> None:
    run = told[-1].obj
    tasks = [one for one in told if one.task]

    assert run.run_id == f"orders/{run.run_name}"
    assert {one.flow.run_id for one in tasks} == {run.run_id}
    assert {one.flow.url for one in tasks} == {run.url}
    assert {one.obj.run_id for one in tasks if one.obj.name == "reserve"} == {f"{run.run_id}/reserve"}
    assert {one.obj.run_id for one in tasks if one.obj.name == "ship"} == {f"{run.run_id}/ship/{n}" for n in range(3)}


def test_a_failure_brings_its_error_and_where_to_look(told: list[Transition]) -> None:
    (failed,) = [one for one in told if one.task and one.state.type == "Failed"]

    assert failed.state.message == "order 3 has no address"
    assert failed.state.result["type"] == "ValueError"
    assert 'raise ValueError("order 3 has no address")' in failed.state.result["traceback"]
    assert failed.state.final is True
    assert "/tasks/ship/mapped/2?try_number=1" in failed.obj.url
    assert failed.obj.labels["owner"] == "airflow"
    assert (failed.obj.tags, failed.obj.parameters) == (("prod",), {"day": "monday"})


def test_a_retry_is_told_with_what_went_wrong_and_how_many_are_left(told: list[Transition]) -> None:
    (retrying,) = [one for one in told if one.state.type == "Retrying"]

    assert (retrying.state.message, retrying.state.name) == ("the warehouse does not answer", "up_for_retry")
    assert retrying.obj.max_retries == 1
    assert not retrying.state.is_final()


@pytest.fixture(scope="module")
def scripted(airflow: Airflow) -> dict[str, Any]:
    """What ``SCRIPT`` sees where no address is set."""
    read: dict[str, Any] = json.loads(airflow.run("-c", SCRIPT, GATEWAY_SPOOL=spool(airflow)).splitlines()[-1])
    return read


def test_every_state_of_airflow_is_one_of_ours(scripted: dict[str, Any]) -> None:
    tasks, runs = scripted["states"]

    assert set(tasks) == set(TASK_STATES)
    assert set(runs) == set(RUN_STATES)


def test_without_an_address_nobody_listens_and_no_hook_raises(scripted: dict[str, Any]) -> None:
    assert scripted["listeners"] == 0
    assert scripted["unasked"] == []
