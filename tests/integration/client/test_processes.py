"""Processes that have a client and end in all manner of ways: what each told of arrives, now or at the next start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import gateway
from gateway.client import Client
from gateway.testing import HttpSink
from gateway.testing.http_sink import drip
from tests.sidecar import Sidecar, take_all

SCRIPT = Path(__file__).with_name("client_process.py")
Start = Callable[..., subprocess.Popen[str]]
Until = Callable[..., None]


@pytest.fixture
def start(tmp_path: Path, sidecar: Sidecar, spool: Path) -> Iterator[Start]:
    """Start ``client_process.py`` on a Python that has nothing but its standard library and our package."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "gateway").symlink_to(Path(gateway.__file__).parent)
    started: list[subprocess.Popen[str]] = []

    def starting(*command: str, url: str = sidecar.url) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-S", "-W", "error", str(SCRIPT), url, str(spool), *command],
            env={"PYTHONPATH": str(tmp_path / "path")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield starting
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # those it has forked, too
        process.communicate()


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    told, errors = process.communicate(timeout=30)
    assert process.returncode == code, errors
    assert "Traceback" not in errors, errors
    return told


def files(spool: Path) -> list[Path]:
    return sorted(spool.glob("*/*.spool"))


def named(name: str, count: int = 3) -> list[str]:
    return [f"{name}-{number}" for number in range(count)]


def test_it_needs_nothing_but_the_standard_library(start: Start) -> None:
    loaded = set(ended(start("loads_nothing")).split())

    assert "gateway" in loaded
    assert not loaded - {*sys.stdlib_module_names, "gateway", "__main__", "__mp_main__"}


def test_a_process_that_ends_at_once_has_sent_everything(start: Start, sidecar: Sidecar, spool: Path) -> None:
    sidecar.start()
    ended(start("ends", "1000"))

    assert sorted(sidecar.messages()) == sorted(named("ends", 1000))
    assert files(spool) == []


def test_without_a_gateway_a_process_ends_quickly_and_the_next_sends_what_it_told(
    start: Start, sidecar: Sidecar, spool: Path
) -> None:
    process = start("ends")
    begun = time.monotonic()
    ended(process)
    assert time.monotonic() - begun < 5
    assert len(files(spool)) == 1
    sidecar.start()

    with Client(sidecar.url, spool=spool) as client:
        wait_for(lambda: not files(spool))
        assert client.lost == 0
    assert sidecar.messages() == named("ends")


def test_what_a_killed_process_told_is_sent_by_the_next(start: Start, sidecar: Sidecar, spool: Path) -> None:
    ended(start("is_killed", "200"), -signal.SIGKILL)
    sidecar.start()
    ended(start("ends", "1"))

    with Client(sidecar.url, spool=spool):
        wait_for(lambda: not files(spool))
    assert sorted(sidecar.messages()) == sorted([*named("is_killed", 200), "ends-0"])


def test_nobody_sends_for_a_process_that_lives(start: Start, sidecar: Sidecar, spool: Path) -> None:
    process = start("waits", "2")
    assert process.stdout is not None
    assert process.stdout.readline() == "told\n"
    sidecar.start()
    with Client(sidecar.url, spool=spool) as other:
        assert list(other._spool.orphans()) == []

    process.stdin.write("\n")  # type: ignore[union-attr]
    process.stdin.flush()  # type: ignore[union-attr]
    ended(process)
    assert sorted(sidecar.messages()) == ["after-0", "after-1", "before-0", "before-1"]


def test_two_processes_share_a_folder(start: Start, sidecar: Sidecar, spool: Path) -> None:
    sidecar.start()
    both = [start("ends", "300"), start("ends", "300")]
    for process in both:
        ended(process)

    assert sorted(sidecar.messages()) == sorted(2 * named("ends", 300))
    assert len({one.id for one in sidecar.taken()}) == 600
    assert files(spool) == []


def test_a_forked_child_sends_what_it_told_and_nothing_of_its_parent(start: Start, sidecar: Sidecar) -> None:
    sidecar.start()
    ended(start("forks"))

    assert sorted(sidecar.messages()) == sorted([*named("parent"), *named("child")])


def test_a_child_that_is_forked_during_a_request_goes_its_own_way(start: Start) -> None:
    with HttpSink(take_all) as sink:
        sink.plan(drip())
        ended(start("forks_during_a_request", url=sink.url))

        bodies = [request.body.decode() for request in sink.received]
    assert sum('"child-2"' in body for body in bodies) == 1
    assert all('"parent-2"' not in body for body in bodies if '"child-' in body)


def test_what_a_killed_parent_told_is_not_locked_by_its_child(start: Start, sidecar: Sidecar, spool: Path) -> None:
    process = start("forks_and_is_killed")
    assert process.stdout is not None
    assert process.stdout.readline() == "forked\n"
    assert process.wait(10) == -signal.SIGKILL
    sidecar.start()

    with Client(sidecar.url, spool=spool):
        wait_for(lambda: sidecar.messages() == named("parent"))


@pytest.mark.parametrize("command", ["forks_workers", "spawns_workers"])
def test_workers_of_multiprocessing_have_sent_everything_as_they_end(
    start: Start, sidecar: Sidecar, spool: Path, command: str
) -> None:
    sidecar.start()
    ended(start(command))

    assert sorted(sidecar.messages()) == sorted([*named("parent"), *(f"worker-{name}" for name in "abcd")])
    assert files(spool) == []


def test_where_no_file_can_grow_it_is_sent_from_memory(start: Start, sidecar: Sidecar) -> None:
    sidecar.start()
    ended(start("has_a_full_disk"))

    assert sidecar.messages() == named("has_a_full_disk")


def wait_for(holds: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
