"""Following a Prefect 3 server: how much of a burst is seen, how soon, at which rate, and in how much memory.

The real server runs in an environment of its own, see ``tests/environments.py``. Prefect's own subscriber of events
listens to the same burst. Then a stand-in tells recorded events as fast as they are asked for, to the gateway and to a
loop that reads the same pages and keeps nothing.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx

from benchmarks._table import Cell, ratio, show
from gateway.sources.prefect.filters import changes
from gateway.sources.prefect.mapping import SOURCE
from gateway.store.opening import open_store
from gateway.store.rows import Position
from gateway.testing.prefect_stand_in import Json, PrefectStandIn
from tests import environments
from tests.integration.prefect3_server import PrefectServer

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "tests" / "samples" / "prefect3" / "event.flow-run.Failed.json"

MIXED = 14
"""State changes of the quiet flow."""

CONFIG = """
[store]
url = "sqlite:///{folder}/gateway.db"

[server]
enabled = false

[source.prefect]
api = "{api}"

[channel.box]
url = "record://prefect-benchmark"

[[handler]]
name    = "ended"
when    = "state is finished"
to      = "box"
message = "{{{{ obj.name }}}}: {{{{ state.name }}}}"
"""


def main(quick: bool = False) -> None:
    with tempfile.TemporaryDirectory() as folder:
        seen_by_all(Path(folder), 60 if quick else 600)
    print()
    with tempfile.TemporaryDirectory() as folder:
        replayed(Path(folder), 500 if quick else 10_000)


# a burst of a real server


def seen_by_all(folder: Path, tasks: int) -> None:
    server = PrefectServer(environments.interpreter("prefect3"), folder)
    server.start()
    try:
        with service(folder, server.api) as process, subscriber(server) as heard:
            until(lambda: position(folder) is not None)
            server.run("mixed")
            light = len(until_kept(folder, MIXED))
            server.run("burst", str(tasks))
            kept = until_kept(folder, light + 3 * tasks + 3)
            peak = memory(process.pid)
            official = heard()
    finally:
        server.close()
    burst = 3 * tasks + 3
    rows: list[tuple[Cell, ...]] = [
        ("Prefect's subscriber, quiet", light, len(official[:light]), *milliseconds(official[:light])),
        ("gateway, quiet", light, light, *milliseconds(kept[:light])),
        ("Prefect's subscriber, burst", burst, len(official) - light, *milliseconds(official[light:])),
        ("gateway, burst", burst, len(kept) - light, *milliseconds(kept[light:])),
    ]
    heads = ["", "state changes", "seen", "p50 ms", "p95 ms", "max ms"]
    show(
        f"A flow of {tasks} mapped tasks: from the state change until it is seen, and kept if it is the gateway",
        heads,
        rows,
    )
    print(f"gateway run: {peak:,.0f} MiB at most")


@contextmanager
def service(folder: Path, api: str) -> Iterator[subprocess.Popen[bytes]]:
    """A ``gateway run`` that follows."""
    config = folder / "config"
    config.mkdir()
    (config / "gateway.toml").write_text(CONFIG.format(folder=folder, api=api))
    command = [sys.executable, "-m", "gateway", "run", "--config", str(config), "--grace", "1s"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def subscriber(server: PrefectServer) -> Iterator[Callable[[], list[float]]]:
    """Prefect's own subscriber; called, what it has heard so far: seconds from each state change, in order."""
    command = [str(environments.interpreter("prefect3")), str(Path(__file__).with_name("_official_subscriber.py"))]
    process = subprocess.Popen(
        command, env=server.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()

    def heard() -> list[float]:
        process.kill()
        lines = process.communicate()[0].splitlines()
        return [float(seconds) for seconds in dict(map(str.split, lines)).values()]

    try:
        yield heard
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def until_kept(folder: Path, number: int) -> list[float]:
    """Wait until so many are kept, half a minute at most; seconds from each state change until it was, in order."""
    deadline = time.monotonic() + 30
    while True:
        rows = ask(folder, "SELECT received_at - occurred_at FROM transition ORDER BY seq")
        if len(rows) >= number or time.monotonic() > deadline:
            return [row[0] / 1000 for row in rows]
        time.sleep(0.2)


def milliseconds(waits: list[float]) -> tuple[float, float, float]:
    if len(waits) < 2:
        return 0.0, 0.0, 0.0
    cuts = statistics.quantiles(waits, n=20)
    return cuts[9] * 1000, cuts[18] * 1000, max(waits) * 1000


def position(folder: Path) -> object:
    try:
        rows = ask(folder, "SELECT until FROM position")
    except sqlite3.OperationalError:  # the tables are being made
        return None
    return rows[0] if rows else None


def ask(folder: Path, question: str) -> list[tuple[int, ...]]:
    with closing(sqlite3.connect(folder / "gateway.db", timeout=30)) as database:
        return database.execute(question).fetchall()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit("it took too long")
        time.sleep(0.02)


def memory(pid: int) -> float:
    """The most memory a process ever had, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


# a stand-in that tells recorded events


def replayed(folder: Path, number: int) -> None:
    with PrefectStandIn() as server:
        began = datetime.now(UTC) - timedelta(minutes=20)
        server.add(*events(began, number))
        alone = read_alone(server.api, began)
        store = open_store(f"sqlite:///{folder}/gateway.db")
        store.advance(Position(SOURCE, began)).result()
        store.close()
        with service(folder, server.api) as process:
            until(lambda: server.listeners > 0)
            started = time.perf_counter()
            until(lambda: ask(folder, "SELECT count(*) FROM transition")[0][0] == number)
            seconds = time.perf_counter() - started
            peak = memory(process.pid)
    rows: list[tuple[Cell, ...]] = [
        ("read and thrown away", number / alone, ""),
        ("through the gateway, on the disk", number / seconds, ratio(seconds, alone)),
    ]
    show(f"{number:,} recorded events, half of them matched", ["", "per second", "slower by"], rows)
    print(f"gateway run: {peak:,.0f} MiB at most")


def events(began: datetime, number: int) -> Iterator[Json]:
    """Flow runs that begin and fail, each at an instant of its own."""
    sample = json.loads(SAMPLE.read_text())
    running = json.loads(SAMPLE.with_name("event.flow-run.Running.json").read_text())
    for place in range(number):
        at = began + timedelta(seconds=600) * (place / number)
        yield (sample if place % 2 else running) | {"id": str(uuid4()), "occurred": at.isoformat(), "follows": None}


def read_alone(api: str, since: datetime) -> float:
    """Seconds for reading all pages in turn, as fast as they come."""
    started = time.perf_counter()
    with httpx.Client() as client:
        while True:
            body = {"filter": changes(since), "limit": 50}
            page = client.post(f"{api}/events/filter", json=body).json()
            last = datetime.fromisoformat(page["events"][-1]["occurred"])
            if not page["next_page"] or last == since:
                return time.perf_counter() - started
            since = last


if __name__ == "__main__":
    main()
