"""The command as users run it: a process of its own, in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.testing import HttpSink

CHECKOUT = Path(__file__).parents[2]
SECONDS = 30
PATIENCE = 15.0
GRACE = 5
PRIVATE = ("ONCALL_SLACK_URL", "MAIL_USER", "MAIL_PASS", "COLUMNS", "FORCE_COLOR", "PYTHONWARNINGS")

Gateway = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**more: str) -> dict[str, str]:
    """The environment of a process under test: no secret set, no colours, a stable width."""
    kept = {name: value for name, value in os.environ.items() if name not in PRIVATE}
    return {**kept, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONUTF8": "1", **more}


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    """Run ``gateway ARGUMENTS`` in ``tmp_path`` and return how it ended."""

    def running(*arguments: str, input: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            input=input,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(**env),
            timeout=SECONDS,
            check=False,
        )

    return running


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Run Python text in ``tmp_path`` and return how it ended."""

    def running(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", text],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(),
            timeout=SECONDS,
            check=False,
        )

    return running


@pytest.fixture
def declare(tmp_path: Path) -> Callable[[str], Path]:
    """Write ``config/gateway.toml`` and return its path."""

    def written(text: str) -> Path:
        path = tmp_path / "config" / "gateway.toml"
        path.parent.mkdir(exist_ok=True)
        fresh = path.with_name(".gateway.toml")
        fresh.write_text(text)
        fresh.replace(path)
        return path

    return written


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that holds the starting configuration."""
    for part in ("config", "templates"):
        shutil.copytree(CHECKOUT / part, tmp_path / part)
    return tmp_path


class Running:
    """``gateway run`` as a process; what it says is read as it comes."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *options, "run", "--grace", f"{GRACE}s"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "80", "PYTHONUTF8": "1"},
        )
        self.said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line

    def says(self, text: str) -> None:
        """Wait until it has said ``text``."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.said:
            assert time.monotonic() < deadline, f"{text!r} was not said, but:\n{self.said}"
            time.sleep(0.02)

    @property
    def url(self) -> str:
        """Where it listens, once it has said so."""
        self.says("Ctrl-C ends.")
        return re.search(r"Listening on (\S+)", self.said)[1]  # type: ignore[index]

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; returns its exit code once all it said is read."""
        self.process.send_signal(how)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def close(self) -> None:
        """End it however it stands."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def starting(*options: str, wait: bool = True) -> Running:
        started.append(Running(tmp_path, *options))
        if wait:
            started[-1].says("Ctrl-C ends.")
        return started[-1]

    yield starting
    for one in started:
        one.close()


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    with HttpSink() as running:
        yield running
