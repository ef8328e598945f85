"""A ``gateway run`` in a process of its own, on a processor of its own where there are two."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROCESSORS = sorted(os.sched_getaffinity(0))
SERVED, LOADING = PROCESSORS[0], PROCESSORS[-1]
"""Where the service runs, and where load and sink do."""

TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 20.0
NOT_READY = 503


@dataclass(frozen=True, slots=True)
class Service:
    """A process that takes requests on a port of loopback, and when it was started."""

    process: subprocess.Popen[bytes]
    port: int
    began: float

    @property
    def processor_seconds(self) -> float:
        """What it has used so far, by itself and by the kernel for it."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def megabytes(self) -> float:
        """What is resident, shared libraries included."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

    def wait_until_ready(self, path: str) -> None:
        """Ask ``path`` until it answers well."""
        deadline = time.monotonic() + PATIENCE
        while not self._answers(path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the service did not become ready")
            time.sleep(0.002)

    def _answers(self, path: str) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status < NOT_READY
        except OSError:
            return False
        finally:
            connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(command: list[str], folder: Path, port: int, environment: Mapping[str, str] = {}) -> Iterator[Service]:
    """``command`` in ``folder``, on its own processor, until the block ends."""
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {SERVED}),
    ) as process:
        try:
            yield Service(process, port, began)
        finally:
            process.kill()


@contextmanager
def gateway(folder: Path, config: str, store: str = "", environment: Mapping[str, str] = {}) -> Iterator[Service]:
    """``gateway run`` on ``config`` (TOML), ready to take requests; its store is a file in ``folder`` unless given."""
    port, place = free_port(), folder / "config"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    url = store or f"sqlite:///{folder / 'gateway.db'}"
    tables = f'[server]\nlisten = "127.0.0.1:{port}"\n[store]\nurl = "{url}"\n'
    (place / "gateway.toml").write_text(tables + config)
    command = [sys.executable, "-m", "gateway", "--log-level", "error", "run", "--config", str(place)]
    with started(command, folder, port, {"PYTHONPATH": str(ROOT), **environment}) as service:
        service.wait_until_ready("/readyz")
        yield service


def load_here() -> None:
    """Run what this process does beside the service, not in its way."""
    os.sched_setaffinity(0, {LOADING})
