"""A real Prefect 3 server is followed: whatever breaks, every state its runs were ever in is told once."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import pytest

from gateway.app import Gateway
from tests import environments
from tests.integration.prefect3_server import PrefectServer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "prefect"
WITHOUT_API = '# api = "http://127.0.0.1:4200/api" unless said otherwise\n'

FAST_RECORDS = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
}
"""Have the server write the states of tasks together: it takes a quarter of a minute for a burst else."""

FAILED = """
[[handler]]
name    = "failed"
on      = "flow"
when    = "state is failed and state is final"
to      = "box"
message = "{{ flow.name }} failed: {{ state.message }}"
"""


@pytest.fixture(scope="module")
def python() -> Path:
    return environments.required("prefect3")


@pytest.fixture(scope="module")
def server(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A server as anybody starts it."""
    server = PrefectServer(python, tmp_path_factory.mktemp("prefect"), FAST_RECORDS)
    server.start()
    yield server
    server.close()


@pytest.fixture
def follow(write: Callable[..., Path], opened: Callable[..., Gateway]) -> Callable[..., Gateway]:
    """Open a gateway that follows a server."""

    def following(server: PrefectServer, handlers: str = FAILED, **keys: str) -> Gateway:
        gateway = opened(declared(write, server, handlers, **keys))
        gateway.follow()
        until(lambda: is_following(gateway))
        return gateway

    return following


def declared(write: Callable[..., Path], server: PrefectServer, handlers: str = FAILED, **keys: str) -> Path:
    """The folder of a configuration that follows ``server``."""
    written = {"api": server.api, "sweep": "500ms", "overlap": "8s"} | keys
    source = "[source.prefect]\n" + "".join(f'{key} = "{value}"\n' for key, value in written.items())
    folder: Path = write(handlers + source + "\n[server]\nenabled = false\n")
    return folder


def is_following(gateway: Gateway) -> bool:
    report = gateway.following()
    return report is not None and report.connected and report.sweeps["ok"] > 0


def until(holds: Callable[[], bool], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def told(folder: Path) -> list[str]:
    """The ids of all transitions in the store beside ``folder``, repeats included if there were any."""
    database = sqlite3.connect(folder.parent / "gateway.db")
    try:
        return [id for (id,) in database.execute("SELECT id FROM transition WHERE source = 'prefect3'")]
    finally:
        database.close()


def wanted(server: PrefectServer, since: datetime) -> set[str]:
    """The ids that transitions into all states since then have."""
    return {state.id for state in server.states() if state.at >= since}


def expect_all_told(server: PrefectServer, since: datetime, folder: Path, at_least: int) -> None:
    """Wait until the server has so many states, and the store a transition into each of them, and no other."""
    deadline = time.monotonic() + 40
    while True:
        ids, states = told(folder), wanted(server, since)
        assert len(ids) == len(set(ids))
        if len(states) >= at_least and states == set(ids):
            return
        missing = [state for state in server.states() if state.id in states - set(ids)]
        assert time.monotonic() < deadline, f"{len(states)} states, {len(ids)} told, missing {missing[:9]}"
        time.sleep(0.2)


def test_a_burst_of_mapped_tasks_is_told_whole(server, follow, tmp_path) -> None:
    since = datetime.now(UTC)
    gateway = follow(server)

    server.run("burst", "600")
    expect_all_told(server, since, tmp_path / "config", 3 * 600 + 3)

    assert gateway.following().told["sweep"] > 0  # the server drops most of a burst from its stream
    assert gateway.store.counters()["transitions"] == len(wanted(server, since))


def test_a_flow_goes_on_while_the_server_is_restarted(server, follow, tmp_path, sent) -> None:
    since = datetime.now(UTC)
    gateway = follow(server)

    flow = server.begin("slow", "15", "0.3")
    until(lambda: len(told(tmp_path / "config")) > 10)
    server.stop()
    until(lambda: not gateway.following().connected)
    server.start()
    assert flow.wait(50) == 0

    expect_all_told(server, since, tmp_path / "config", 3 * 15 + 3)
    until(lambda: is_following(gateway))


def test_retries_and_subflows_are_told_as_the_server_keeps_them(server, follow, tmp_path) -> None:
    since = datetime.now(UTC)
    follow(server)

    server.run("mixed")

    expect_all_told(server, since, tmp_path / "config", 20)


def test_a_gateway_that_is_killed_goes_on_where_it_was(server, write, tmp_path) -> None:
    since = datetime.now(UTC)
    folder = declared(write, server)
    first = run_gateway(folder)
    until(lambda: position(folder) > 0)

    flow = server.begin("slow", "15", "0.2")
    until(lambda: len(told(folder)) > 10)
    first.kill()
    first.wait()
    so_far = len(told(folder))
    assert flow.wait(50) == 0
    second = run_gateway(folder)

    try:
        expect_all_told(server, since, folder, 3 * 15 + 3)
        assert so_far < len(told(folder))
    finally:
        second.terminate()
        assert second.wait(20) == 0


def run_gateway(folder: Path, output: IO[str] | int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """The service, as it is started in production."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "gateway", "run", "--config", str(folder)]
    return subprocess.Popen(command, cwd=folder.parent, env=environment, stdout=output)


def position(folder: Path) -> int:
    if not (folder.parent / "gateway.db").exists():
        return 0
    database = sqlite3.connect(folder.parent / "gateway.db")
    try:
        return int(
            database.execute("SELECT coalesce(max(until), 0) FROM position WHERE source = 'prefect3'").fetchone()[0]
        )
    except sqlite3.OperationalError:  # the tables are being made
        return 0
    finally:
        database.close()


def test_what_a_killed_server_has_lost_is_told_all_the_same(server, follow, tmp_path, sent) -> None:
    since = datetime.now(UTC)
    follow(server).close()

    for _ in range(2):
        server.begin("failing")
    until(lambda: sum(state.type == "FAILED" for state in server.states() if state.at >= since) == 2)
    server.stop(signal.SIGKILL)
    server.start()
    gateway = follow(server)

    expect_all_told(server, since, tmp_path / "config", 2 * 3)
    gateway.drain()
    assert gateway.following().told["history"] > 0
    assert [message.body for message in sent.messages] == [
        "orders failed: Flow run encountered an exception: ValueError: the table is gone"
    ] * 2


def test_the_example_tells_of_a_flow_that_knows_nothing_of_it(server, python, tmp_path) -> None:
    said = said_by_the_example(server, python, tmp_path)

    assert f"Following Prefect at {server.api}" in said
    assert "load is tried again" in said
    assert "orders failed\n" in said
    assert "ERROR Encountered exception during execution" in said


def said_by_the_example(server: PrefectServer, python: Path, folder: Path) -> str:
    """What the gateway of the example prints while the flow of the example runs."""
    config, output = folder / "config", folder / "said.txt"
    config.mkdir()
    written = (EXAMPLE / "config" / "gateway.toml").read_text()
    assert WITHOUT_API in written
    api = f'api = "{server.api}"\nsweep = "500ms"\n'
    own = f'\n[server]\nenabled = false\n[store]\nurl = "sqlite:///{folder}/gateway.db"\n'
    (config / "gateway.toml").write_text(written.replace(WITHOUT_API, api) + own)
    with output.open("w") as said:
        gateway = run_gateway(config, said)
    try:
        until(lambda: position(config) > 0)
        subprocess.run([python, EXAMPLE / "flow.py"], env=server.environment(), cwd=folder, check=True, timeout=40)
        until(lambda: '{"customer": "globex"}' in output.read_text())
    finally:
        gateway.terminate()
        gateway.wait(20)
    return output.read_text()
