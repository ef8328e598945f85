"""A real Prefect 3 server on loopback, and flows that run against it, for tests."""

from __future__ import annotations

import base64
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from gateway.sources.prefect.mapping import retry_id
from gateway.testing.ports import free_port

FLOWS = Path(__file__).with_name("prefect3_source_flows.py")

LONGEST_START = 50.0


class PrefectServer:
    """One server with its database in ``folder``; started again, it is the same with the same port.

    Args:
        python: of the environment that has Prefect 3.
        folder: where it keeps everything.
        settings: environment variables of the server.
        auth: user and password that clients need, if any.
    """

    def __init__(self, python: Path, folder: Path, settings: Mapping[str, str] | None = None, auth: str = "") -> None:
        self._python, self._folder, self.auth = python, folder, auth
        self._settings = dict(settings or {})
        self.port = free_port()
        self.api = f"http://127.0.0.1:{self.port}/api"
        self._process: subprocess.Popen[bytes] | None = None
        self._running: list[subprocess.Popen[bytes]] = []

    def environment(self) -> dict[str, str]:
        """What a process needs to find the server."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
        auth = {"PREFECT_API_AUTH_STRING": self.auth, "PREFECT_SERVER_API_AUTH_STRING": self.auth} if self.auth else {}
        return (
            kept
            | auth
            | self._settings
            | {
                "PREFECT_API_URL": self.api,
                "PREFECT_HOME": str(self._folder / "home"),
                "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
                "DO_NOT_TRACK": "1",
                "PREFECT_SERVER_UI_ENABLED": "false",
                "PREFECT_LOGGING_LEVEL": "INFO",
                "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.2",
            }
        )

    def start(self) -> None:
        """Start, and wait until it answers."""
        (self._folder / "home").mkdir(parents=True, exist_ok=True)
        command = [str(self._python.with_name("prefect")), "server", "start", "--no-ui"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        with (self._folder / "server.log").open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=self.environment(), stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + LONGEST_START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self._folder / "server.log").read_text()[-2000:])
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.api}/health", timeout=2, headers=self.headers()).status_code == 200
        except httpx.HTTPError:
            return False

    def headers(self) -> dict[str, str]:
        """What a question to the API carries."""
        return {"Authorization": "Basic " + base64.b64encode(self.auth.encode()).decode()} if self.auth else {}

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and all it started, with the flows that still run."""
        if self._process is not None:
            _end(self._process, how)
        self._process = None

    def close(self) -> None:
        """End the flows as well."""
        for process in self._running:
            _end(process, signal.SIGKILL)
        self.stop(signal.SIGKILL)

    def begin(self, flow: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Begin to run a flow of ``prefect3_source_flows.py`` in a process of its own."""
        with (self._folder / "flows.log").open("ab") as output:
            process = subprocess.Popen(
                [str(self._python), str(FLOWS), flow, *arguments],
                cwd=self._folder,
                env=self.environment(),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def run(self, flow: str, *arguments: str, timeout: float = 55.0) -> None:
        """Run a flow to its end."""
        process = self.begin(flow, *arguments)
        code = process.wait(timeout)
        assert code == 0, (self._folder / "flows.log").read_text()[-2000:]

    # what the server itself knows

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """The answer of the API."""
        answer = httpx.request(method, self.api + path, headers=self.headers(), timeout=30, **more)
        answer.raise_for_status()
        return answer.json()

    def all(self, kind: str) -> list[dict[str, Any]]:
        """All runs of ``kind``, ``"flow_runs"`` or ``"task_runs"``."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.ask("POST", f"/{kind}/filter", json={"limit": 200, "offset": len(found)})
            found += page
            if len(page) < 200:
                return found

    def states(self) -> list[State]:
        """Every state that any run was ever in, out of the server's database.

        But for task runs that stand for subflows in the flow that calls them.
        """
        database = sqlite3.connect(f"file:{self._folder / 'home' / 'prefect.db'}?mode=ro", uri=True, timeout=20)
        try:
            flows = database.execute("SELECT id, type, name, timestamp, 0, 0, 0 FROM flow_run_state").fetchall()
            tasks = database.execute(_STATES_OF_TASKS).fetchall()
        finally:
            database.close()
        return [_state(*row) for row in flows + tasks]

    def heartbeats(self) -> int:
        """How many heartbeats of flow runs the server has kept."""
        database = sqlite3.connect(f"file:{self._folder / 'home' / 'prefect.db'}?mode=ro", uri=True, timeout=20)
        try:
            found = database.execute("SELECT count(*) FROM events WHERE event = 'prefect.flow-run.heartbeat'")
            return int(found.fetchone()[0])
        finally:
            database.close()


_STATES_OF_TASKS = """
SELECT state.id, state.type, state.name, state.timestamp, run.id, run.flow_run_run_count,
       (SELECT count(*) FROM task_run_state AS earlier WHERE earlier.task_run_id = state.task_run_id
        AND earlier.type = 'RUNNING' AND earlier.timestamp < state.timestamp)
FROM task_run_state AS state JOIN task_run AS run ON run.id = state.task_run_id
WHERE NOT EXISTS (SELECT 1 FROM flow_run WHERE flow_run.parent_task_run_id = run.id)
"""


@dataclass(frozen=True, slots=True)
class State:
    """A state that a run came into at some time, and the id that a transition into it has."""

    id: str
    type: str
    at: datetime


def _state(id: str, type: str, name: str, at: str, run_id: str, flow_attempt: int, attempt: int) -> State:
    is_retry = run_id and name == "AwaitingRetry"
    found = retry_id(str(UUID(run_id)), flow_attempt, attempt) if is_retry else str(UUID(id))
    return State(found, type, datetime.fromisoformat(at).replace(tzinfo=UTC))


def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    if process.poll() is not None:
        return
    try:
        os.killpg(process.pid, how)
        process.wait(15)
    except ProcessLookupError:
        pass
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(15)
