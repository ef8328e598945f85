"""The example of Prefect 1, on each of its executors: what is told arrives from every process, once."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

import gateway
from gateway.testing import HttpSink
from tests import environments
from tests.sidecar import Sidecar

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="Prefect 1 and this interpreter must share packages"),
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "prefect1"

RUN = """
import runpy, sys
sys.path.append({site!r})  # our own dependencies, behind Prefect's: both need some of the same packages
sys.argv = [{script!r}, *{arguments!r}]
runpy.run_path({script!r}, run_name="__main__")
"""

TOLD = [
    ("check[0] gave up", "FAIL: 1 is odd, 101 rows"),
    ("check[2] gave up", "FAIL: 3 is odd, 103 rows"),
    ("extract gave up", "ConnectionError: no route to the orders of monday"),
    ("extract is Failed", "attempt 1 of 2 for monday"),
    ("extract is Failed", "attempt 2 of 2 for monday"),
    ("extract is Retrying", "attempt 1 of 2 for monday"),
    ("nightly", "Some reference tasks failed."),
]


def ran(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the example in Prefect's environment, its messages going to ``url``."""
    folder.mkdir(exist_ok=True)
    (folder / "gateway").symlink_to(Path(gateway.__file__).parent)
    (folder / "nightly.py").write_text((EXAMPLE / "nightly.py").read_text())
    config = (EXAMPLE / "gateway.toml").read_text().replace("console://", url)
    (folder / "gateway.toml").write_text(f'[store]\nurl = "sqlite:///{folder}/gateway.db"\n{config}')
    site, script = sysconfig.get_paths()["purelib"], str(folder / "nightly.py")
    (folder / "run.py").write_text(RUN.format(site=site, script=script, arguments=arguments))
    return run(folder / "run.py", folder)


def run(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ``script`` in Prefect's environment; of this package it sees what lies in ``folder``."""
    return subprocess.run(
        [environments.required("prefect1"), "-W", "ignore", script],
        env={"PYTHONPATH": str(folder), "HOME": str(folder), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("scheduler", ["", "threads", "processes"])
def test_the_example_tells_the_same_on_every_executor(scheduler: str, tmp_path: Path) -> None:
    with HttpSink() as sink:
        done = ran(tmp_path / "flow", f"json://127.0.0.1:{sink.port}/", *filter(None, [scheduler]))
        told = sorted((one.json()["title"], one.json()["message"]) for one in sink.received)

    assert done.returncode == 0, done.stderr[-3000:]
    assert told == TOLD, done.stdout[-3000:]


def test_a_channel_that_is_away_neither_fails_nor_delays_the_flow(tmp_path: Path) -> None:
    began = time.monotonic()
    done = ran(tmp_path / "flow", "json://127.0.0.1:9/")

    assert done.returncode == 0, done.stderr[-3000:]
    assert "Unexpected error while calling state handlers" not in done.stdout
    assert "Flow run FAILED: some reference tasks failed." in done.stdout
    assert time.monotonic() - began < 60


CLIENT = """
from prefect import Flow, task
from prefect.executors import LocalDaskExecutor

from gateway.client import Client

client = Client({url!r}, spool={spool!r})


@task(state_handlers=[client])
def square(number):
    return number * number


with Flow("squares", state_handlers=[client]) as flow:
    square.map([1, 2, 3])

if __name__ == "__main__":
    flow.run(executor=LocalDaskExecutor(scheduler="processes"))
"""


def test_a_client_in_place_of_the_gateway_needs_none_of_its_dependencies(tmp_path: Path) -> None:
    (tmp_path / "gateway").symlink_to(Path(gateway.__file__).parent)
    with Sidecar(tmp_path / "sidecar") as sidecar:
        (tmp_path / "squares.py").write_text(CLIENT.format(url=sidecar.url, spool=str(tmp_path / "spool")))
        done = run(tmp_path / "squares.py", tmp_path)
        told = sorted((one.obj.run_name, one.state.type) for one in sidecar.taken() if one.kind == "task")
        runs = {one.obj.run_id for one in sidecar.taken() if one.kind == "task"}
        flows = [one.state.type for one in sidecar.taken() if one.kind == "flow"]

    assert done.returncode == 0, done.stderr[-3000:]
    children = [(f"square[{index}]", state) for index in range(3) for state in ("Running", "Success")]
    assert told == [("square", "Mapped"), *children]
    assert len(runs) == 4
    assert flows == ["Running", "Success"]
