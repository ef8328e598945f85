"""The examples of open standards run as their pages say, against a served gateway."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.config import load, read_sources
from gateway.server import Server, open_door
from tests import environments

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[[str], tuple[Gateway, str]]]:
    """The gateway of an example, at a port that the system chooses, and where it listens."""
    with ExitStack() as stack:

        def serve(example: str) -> tuple[Gateway, str]:
            config = tmp_path / "config"
            shutil.copytree(EXAMPLES / example / "config", config)
            (config / "server.toml").write_text('[server]\nlisten = "127.0.0.1:0"\n')
            gateway = stack.enter_context(Gateway(config, watch=False, drain_seconds=5))
            server = stack.enter_context(Server(gateway, open_door(load(read_sources(config)[0]))))
            return gateway, server.url

        yield serve


def messages(gateway: Gateway) -> list[str]:
    """What was told, as it was sent."""
    gateway.drain()
    found = gateway.store.deliveries(limit=50)
    return [history.body for one in reversed(found) if (history := gateway.store.history(one.id).delivery)]


@pytest.mark.skipif(not shutil.which("curl") and "CI" not in os.environ, reason="there is no curl here")
def test_a_watched_command_is_told_of_and_ends_as_it_would(served, tmp_path) -> None:
    gateway, url = served("cloudevents")
    script = EXAMPLES / "cloudevents" / "watched"

    for command, code in ((["true"], 0), (["sh", "-c", "exit 23"], 23)):
        environment = {"PATH": os.environ["PATH"], "GATEWAY": url}
        done = subprocess.run([script, "backup", *command], env=environment, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (code, "")

    assert [one.partition(",")[0] for one in messages(gateway)] == ["exit code 23"]
    states = [(row.old_type, row.new_type) for row in reversed(gateway.store.transitions(limit=9))]
    assert states == [(None, "Running"), ("Running", "Success"), (None, "Running"), ("Running", "Failed")]


@pytest.mark.skipif(not shutil.which("curl") and "CI" not in os.environ, reason="there is no curl here")
def test_a_watched_command_does_not_suffer_from_a_gateway_that_is_away(tmp_path) -> None:
    environment = {"PATH": os.environ["PATH"], "GATEWAY": "http://127.0.0.1:9"}
    script = EXAMPLES / "cloudevents" / "watched"

    done = subprocess.run(
        [script, "backup", "echo", "done"], env=environment, capture_output=True, text=True, timeout=30
    )

    assert (done.returncode, done.stdout) == (0, "done\n")


@pytest.mark.slow
def test_the_openlineage_client_reports_to_the_gateway(served, tmp_path) -> None:
    python = environments.required("airflow")
    gateway, url = served("openlineage")

    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OPENLINEAGE_URL": url}
    script = EXAMPLES / "openlineage" / "report.py"
    done = subprocess.run([python, script], env=environment, capture_output=True, text=True, timeout=60, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert messages(gateway) == [
        "extract took 1m 15s",
        "the table is gone, in example",
        "the table is gone, in example",
    ]


@pytest.mark.skipif(not shutil.which("curl") and "CI" not in os.environ, reason="there is no curl here")
@pytest.mark.parametrize("standard", ["openlineage", "cloudevents"])
def test_what_the_page_says_to_check_with_shows_that_it_works(served, tmp_path, standard) -> None:
    page = (EXAMPLES.parent / "docs" / "engines" / f"{standard}.md").read_text()
    script = page.partition("## See that it works")[2].partition("```sh\n")[2].partition("```")[0]
    gateway, url = served(standard)
    script = script.replace("http://127.0.0.1:8787", url)
    command = tmp_path / "gateway"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gateway "$@"\n')
    command.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GATEWAY": url, "GATEWAY_TOKEN": "none-is-needed"}
    environment["PYTHONPATH"] = str(EXAMPLES.parent)

    done = subprocess.run(
        ["bash", "-euc", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('{"accepted": 1, "duplicates": 0, "ignored": 0}')
    assert done.stdout.endswith("every event was understood\n")
    assert gateway.store.transitions(limit=9)[0].new_type == "Failed"
