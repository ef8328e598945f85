"""The real clients of OpenLineage, told where the gateway is by environment variables alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.config import load, read_sources
from gateway.server import Server, open_door
from tests import environments

SAMPLES = Path(__file__).parents[1] / "samples" / "openlineage"
TOKEN = "a-token-for-the-clients-0123"
CLIENT = """
from datetime import datetime, timezone
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.facet_v2 import error_message_run, parent_run
from openlineage.client.uuid import generate_new_uuid

client = OpenLineageClient()
flow, task = str(generate_new_uuid()), str(generate_new_uuid())
parent = parent_run.ParentRunFacet(run=parent_run.Run(runId=flow), job=parent_run.Job(namespace="acme", name="orders"))
error = error_message_run.ErrorMessageRunFacet(
    message="the table is gone", programmingLanguage="PYTHON", stackTrace="Traceback: gone"
)
states = (RunState.START, {}), (RunState.OTHER, {}), (RunState.FAIL, {"errorMessage": error})
for second, (state, facets) in enumerate(states):
    at = datetime(2026, 11, 22, 15, 0, second, tzinfo=timezone.utc).isoformat()
    run = Run(runId=task, facets={"parent": parent, **facets})
    job = Job(namespace="acme", name="orders.load", facets={})
    client.emit(RunEvent(eventTime=at, producer="test", run=run, job=job, eventType=state, inputs=[], outputs=[]))
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Gateway, str]]:
    """A gateway that keeps all it is told of, and where it listens."""
    config = tmp_path / "config.toml"
    store = f'[store]\nurl = "sqlite:///{tmp_path}/gateway.db"\nkeep_unmatched = "1h"\n'
    config.write_text(f'{store}[server]\nlisten = "127.0.0.1:0"\ntoken = "{TOKEN}"\n')
    with Gateway(config, watch=False) as gateway, Server(gateway, open_door(load(read_sources(config)[0]))) as server:
        yield gateway, server.url


def run(python: Path, *command: str, folder: Path, ends: int = 0, **variables: str) -> None:
    environment = {"PATH": f"{python.parent}:{os.environ['PATH']}", "HOME": str(folder), **variables}
    done = subprocess.run(
        [str(python), *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == ends, (done.stdout + done.stderr)[-3000:]


def changes(gateway: Gateway) -> list[tuple[str, str | None, str]]:
    rows = gateway.store.transitions(limit=500)
    return [(row.obj_name, row.old_type, row.new_type) for row in reversed(rows)]


@pytest.mark.slow
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_the_python_client_is_understood(served, tmp_path, compression) -> None:
    gateway, url = served
    transport: dict[str, Any] = {"type": "http", "url": url, "auth": {"type": "api_key", "apiKey": TOKEN}}
    if compression:
        transport["compression"] = compression
    script = tmp_path / "client.py"
    script.write_text(CLIENT)

    run(environments.required("airflow"), str(script), folder=tmp_path, OPENLINEAGE__TRANSPORT=json.dumps(transport))

    assert changes(gateway) == [("load", None, "Running"), ("load", "Running", "Failed")]
    assert gateway.store.refused() == []


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_airflow_tells_all_by_environment_variables_alone(served, tmp_path) -> None:
    """The same run as in the samples, by the engine itself: every task's every change, skipped and retried included."""
    python = environments.required("airflow")
    gateway, url = served
    dags = tmp_path / "dags"
    dags.mkdir()
    shutil.copy(SAMPLES / "orders_dag.py", dags / "orders.py")
    transport = {
        "type": "http",
        "url": url,
        "endpoint": "api/v1/lineage",
        "auth": {"type": "api_key", "apiKey": TOKEN},
    }
    variables = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "acme",
    }
    run(python, "-m", "airflow", "db", "migrate", folder=tmp_path, **variables)
    test = ("dags", "test", "orders", "--conf", '{"day": "monday"}')
    run(python, "-m", "airflow", *test, folder=tmp_path, ends=1, **variables)

    assert {*changes(gateway)} == {
        *both("skip", "Success"),
        ("skip", "Success", "Skipped"),
        *both("choose", "Success"),
        *both("flaky", "Retrying"),
        ("flaky", "Retrying", "Running"),
        ("flaky", "Running", "Success"),
        *both("extract", "Success"),
        *both("hopeless", "Failed"),
        *both("each", "Failed"),
        ("each", "Running", "Success"),
        *both("left", "Success"),
        ("after", None, "TriggerFailed"),
        ("right", None, "Skipped"),
        ("orders", None, "Failed"),
    }
    assert len(changes(gateway)) == 22
    assert gateway.store.refused() == []


def both(task: str, end: str) -> tuple[tuple[str, str | None, str], ...]:
    """The changes of a task that began and came to ``end``."""
    return (task, None, "Running"), (task, "Running", end)
