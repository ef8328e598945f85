"""One gateway as a process of its own: started, asked, signalled, and started again on the same store."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from chaos.audit import ENDS, Ledger
from chaos.launcher import Settings

TESTS = Path(__file__).parents[1]
START_SECONDS = 25.0
END_SECONDS = 25.0
GRACE = "3s"
LAST_LINES = 25
ACCOUNTS = ("accepted", "owed", *sorted(ENDS))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class GatewayProcess:
    """``gateway run`` on a folder of configuration, told to listen at ``port``.

    Args:
        folder: where the configuration lies, as ``config/``.
        log: the file that everything it says is added to.
        settings: how it is broken; ``None`` for the command as users run it.
        environment: added to its environment.

    Attributes:
        starts: when processes began (``time.monotonic``).
        deaths: when they ended without being able to do anything about it, or lost what they held.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        log: Path,
        settings: Settings | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.port, self.settings, self.environment = port, settings, environment or {}
        self.starts: list[float] = []
        self.deaths: list[float] = []
        self._folder, self._log = folder, log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    # coming and going

    def spawn(self) -> None:
        """Start a process, and do not wait for it."""
        assert not self.running
        gateway = ["gateway"] if self.settings is None else ["chaos.launcher", self.settings.written()]
        self.starts.append(time.monotonic())
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *gateway, "run", "--config", "config", "--grace", GRACE],
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(TESTS), "NO_COLOR": "1", "COLUMNS": "200", **self.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def start(self) -> None:
        """Start a process and wait until it is ready for transitions."""
        self.spawn()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until it is ready for transitions."""
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            self.check_alive()
            assert time.monotonic() < deadline, f"not ready after {START_SECONDS} s\n{self.last_words()}"
            time.sleep(0.02)

    def is_ready(self) -> bool:
        """Whether it says that it is ready."""
        try:
            status, _ = self.ask("GET", "/readyz", seconds=2.0)
        except (OSError, http.client.HTTPException):
            return False
        return status == 200

    def check_alive(self) -> None:
        """Fail if it has ended, which nobody asked it to."""
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"the gateway ended by itself with {code}\n{self.last_words()}"

    def kill(self) -> None:
        """End it as if it had never known."""
        self.check_alive()
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        self.deaths.append(time.monotonic())

    def end(self) -> None:
        """Ask it to end, and wait until it has, well."""
        self.check_alive()
        self.signal(signal.SIGTERM)
        assert self._process is not None
        code = self._process.wait(END_SECONDS)
        assert code == 0, f"it ended with {code}\n{self.last_words()}"

    def stop(self) -> None:
        """Have it stand still: it loses what it holds if that lasts long enough."""
        self.signal(signal.SIGSTOP)
        self.lose_hold()

    def go_on(self) -> None:
        """Let it go on. What it was about to send, it may send now."""
        self.lose_hold()
        self.signal(signal.SIGCONT)

    def lose_hold(self) -> None:
        """Note that it may be losing now what it holds."""
        self.deaths.append(time.monotonic())

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def close(self) -> None:
        """End it however it stands."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    # asking

    def ask(self, method: str, path: str, seconds: float = 10.0) -> tuple[int, Any]:
        """Its answer to a request: the status, and the JSON in it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request(method, path, headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            is_json = answer.headers.get_content_type() in ("application/json", "application/problem+json")
            return answer.status, json.loads(content) if is_json else content.decode()
        finally:
            connection.close()

    def ledger(self) -> Ledger | None:
        """The ledger as it tells it; ``None`` if it tells nothing at the moment."""
        try:
            status, told = self.ask("GET", "/api/v1/ledger")
        except (OSError, http.client.HTTPException):
            return None
        if status != 200:
            return None
        return {(line["handler"], line["channel"]): {name: line[name] for name in ACCOUNTS} for line in told["lines"]}

    def said(self) -> str:
        """All that it said, and those before it."""
        return self._log.read_text(errors="replace")

    def last_words(self) -> str:
        """The end of that."""
        return "\n".join(self.said().splitlines()[-LAST_LINES:])
