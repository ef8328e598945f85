"""Time and memory of ``import gateway`` and of a ``gateway run``: until its first answer, and with nothing to do.

Every figure comes from a process of its own. Memory is what is resident, shared libraries included,
as Linux tells it in ``/proc``.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from benchmarks import _service as service
from benchmarks._service import ROOT
from benchmarks._table import against, show

AIM_IMPORT_MS, AIM_IDLE_MB = 100, 80
SETTLE_SECONDS = 2.0
EVENT = b'{"obj": {"kind": "flow", "name": "etl"}, "new_state": {"type": "Success"}}'

IMPORTS = {"nothing": "", "gateway": "import gateway", "gateway.Gateway": "from gateway import Gateway"}
TIMED_IMPORT = """
import time
began = time.perf_counter()
{statement}
took = time.perf_counter() - began
print(took, *[line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")])
"""
SERVICES = {
    "oncall": "slack://TAAAAAAAA/BBBBBBBBB/CCCCCCCCCCCCCCCCCCCCCCCC",
    "mail": "mailto://someone:something@example.com?smtp=127.0.0.1",
}


@dataclass(frozen=True, slots=True)
class Footprint:
    seconds: float
    megabytes: float


def main(quick: bool = False) -> None:
    show_imports(2 if quick else 10)
    print()
    show_idle(1 if quick else 5)


def show_imports(times: int) -> None:
    found = {name: [importing(statement) for _ in range(times)] for name, statement in IMPORTS.items()}
    show(
        "importing, in a fresh interpreter",
        ("", "best ms", "median ms", "resident MB", "aim"),
        [(*summary(name, each), aim_of_import(name, each)) for name, each in found.items()],
    )


def show_idle(times: int) -> None:
    configurations = {"console channels": starting_configuration, "Slack and mail": with_services}
    found = {name: [running(write) for _ in range(times)] for name, write in configurations.items()}
    show(
        "gateway run: from its start until its first 202, and memory when idle after that",
        ("", "best ms", "median ms", "resident MB", "aim"),
        [
            (*summary(name, each), against(AIM_IDLE_MB, max(one.megabytes for one in each), "MB"))
            for name, each in found.items()
        ],
    )


def summary(name: str, found: list[Footprint]) -> tuple[str, float, float, float]:
    seconds = [one.seconds for one in found]
    return name, 1e3 * min(seconds), 1e3 * statistics.median(seconds), max(one.megabytes for one in found)


def aim_of_import(name: str, found: list[Footprint]) -> str:
    return against(AIM_IMPORT_MS, 1e3 * min(one.seconds for one in found), "ms") if name == "gateway" else ""


def importing(statement: str) -> Footprint:
    script = TIMED_IMPORT.format(statement=statement)
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    seconds, kilobytes = said.split()
    return Footprint(float(seconds), int(kilobytes) / 1024)


def running(write: Callable[[Path], None]) -> Footprint:
    """A ``gateway run`` on the configuration that ``write`` puts into a folder; nothing is ever sent."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), service.free_port()
        write(folder)
        (folder / "config" / "server.toml").write_text(f'[server]\nlisten = "127.0.0.1:{port}"\n')
        command = [sys.executable, "-m", "gateway", "run", "--config", "config"]
        with service.started(command, folder, port, {"PYTHONPATH": str(ROOT)}) as running:
            wait_for_acknowledgement(running)
            seconds = time.perf_counter() - running.began
            time.sleep(SETTLE_SECONDS)
            return Footprint(seconds, running.megabytes)


def wait_for_acknowledgement(running: service.Service) -> None:
    deadline = time.monotonic() + service.PATIENCE
    while not acknowledges(running.port):
        if running.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("gateway run took no transition")
        time.sleep(0.002)


def acknowledges(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/api/v1/transitions", EVENT, {"Content-Type": "application/json"})
        return connection.getresponse().status == 202
    except OSError:
        return False
    finally:
        connection.close()


def starting_configuration(folder: Path) -> None:
    for part in ("config", "templates"):
        shutil.copytree(ROOT / part, folder / part)


def with_services(folder: Path) -> None:
    starting_configuration(folder)
    file = folder / "config" / "channels.toml"
    text = file.read_text()
    for name, url in SERVICES.items():
        table = text.index(f"[channel.{name}]")
        text = text[:table] + text[table:].replace('"console://"', f'"{url}"', 1)
    file.write_text(text)


if __name__ == "__main__":
    main()
