"""A disk that is really full: what was accepted is finished, what cannot be kept is refused, and it all ends well."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from gateway import Task, states
from gateway.app import Gateway
from gateway.channels import Recording
from gateway.errors import StoreFullError
from gateway.store.ledger import total
from gateway.testing.builders import transition

Until = Callable[..., None]
HANDLER = '[[handler]]\nname = "failed"\nstate = "Failed"\nto = "box"\nmessage = "{{ task.name }}"\n'


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(disk)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
def config(write: Callable[..., Path], small_disk: Path, bucket: str) -> Path:
    """A gateway whose store is on the small disk, and whose channel takes a moment for each message."""
    folder = write(HANDLER)
    (folder / "store.toml").write_text(f'[store]\nurl = "sqlite:///{small_disk}/gateway.db"\n')
    (folder / "channels.toml").write_text(f'[channel.box]\nurl = "record://{bucket}?delay=0.02"\n')
    return folder


def fill(disk: Path) -> Path:
    """Somebody else fills the disk, to the last byte."""
    filler = disk / "somebody-elses"
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    return filler


def take(gateway: Gateway, numbers: Sequence[int]) -> bool:
    """Take transitions in, as a server does that asks first; whether they were."""
    if gateway.store.room().refuses:
        return False
    try:
        gateway.take([transition(task=f"load-{number}") for number in numbers]).result(30)
    except StoreFullError:
        return False
    return True


def ledger(gateway: Gateway) -> tuple[int, int]:
    """How many were accepted, and how many of them delivered; the books balance at any moment."""
    lines = gateway.store.ledger()
    assert all(line.balances for line in lines)
    return total(lines).accepted, total(lines).delivered


def told(sent: Recording) -> list[str]:
    return sorted(message.body for message in sent.messages)


def names(numbers: Sequence[int]) -> list[str]:
    return sorted(f"load-{number}" for number in numbers)


def check(store: Path) -> None:
    with sqlite3.connect(store) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_on_a_full_disk_deliveries_are_finished_intake_is_refused_and_all_goes_on_when_there_is_room(
    config: Path, small_disk: Path, opened: Callable[..., Gateway], sent: Recording, until: Until
) -> None:
    gateway = opened(config, watch=False)
    until(lambda: not gateway.store.room().missing)
    assert take(gateway, range(300))

    filler = fill(small_disk)
    until(lambda: gateway.store.room().refuses)
    assert gateway.store.room().is_nearly_full
    for number in range(300, 320):  # flows in this process cannot be told to come again
        gateway(Task(name=f"load-{number}"), states.Running(), states.Failed("boom"))
    until(lambda: ledger(gateway) == (320, 320))
    assert not (small_disk / "gateway.db.ballast").exists()
    assert not take(gateway, [999])

    filler.unlink()
    until(lambda: take(gateway, range(320, 340)))
    until(lambda: ledger(gateway) == (340, 340) and not gateway.store.room().missing)
    assert told(sent) == names(range(340))
    gateway.close()
    check(small_disk / "gateway.db")


def test_a_gateway_starts_on_a_full_disk_and_delivers_what_is_owed(
    config: Path, small_disk: Path, opened: Callable[..., Gateway], sent: Recording, until: Until
) -> None:
    first = opened(config, watch=False, drain_seconds=0.0)
    until(lambda: not first.store.room().missing)
    assert take(first, range(300))
    first.close()
    before = len(sent.messages)
    assert before < 300

    fill(small_disk)
    second = opened(config, watch=False)

    until(lambda: ledger(second) == (300, 300))
    assert set(told(sent)) == set(names(range(300)))
    assert second.store.room().refuses


def test_when_room_is_scarce_what_matched_nobody_goes_first_and_what_is_owed_stays(
    config: Path, small_disk: Path, opened: Callable[..., Gateway], sent: Recording, until: Until
) -> None:
    gateway = opened(config, watch=False)
    until(lambda: not gateway.store.room().missing)
    (config / "channels.toml").write_text('[channel.box]\nurl = "record://elsewhere?fail=9999999"\n')
    assert gateway.reload().accepted
    assert take(gateway, range(20))
    unmatched = 0

    def flood() -> int:
        nonlocal unmatched
        if not gateway.store.room().refuses:
            batch = [transition(new="Running", task="y" * 5000) for _ in range(50)]
            gateway.take(batch).result(30)
            unmatched += len(batch)
        return unmatched * 10_000  # the name stands in a column and in the payload

    until(lambda: flood() > 80_000_000, seconds=60)

    counters = gateway.store.counters()
    assert counters["unmatched"] == unmatched
    assert counters["transitions_forgotten"] > unmatched // 4
    assert counters["deliveries_forgotten"] == 0
    assert gateway.store.owed() == 20
    assert not gateway.store.room().missing


LIMITED = """
import resource, signal, sys, time
from gateway import Gateway
from gateway.channels import recording
from gateway.errors import StoreFullError
from gateway.testing.builders import transition

def until(holds):
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)

gateway = Gateway(sys.argv[1], watch=False)
store, sent = gateway.store, recording(sys.argv[2])
until(lambda: not store.room().missing)
gateway.take([transition(task=f"load-{n}") for n in range(200)]).result()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, unlimited[1]))
until(lambda: store.room().refuses)  # the file system has plenty, and the store learns the hard way
try:
    gateway.take([transition(task="refused")]).result()
    assert False
except StoreFullError as error:
    print(error)
assert store.owed() > 0
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
until(lambda: not store.owed())
until(lambda: not store.room().refuses and not store.room().missing)
gateway.take([transition(task="after")]).result()
until(lambda: len(sent.messages) == 201)
gateway.close()
"""


def test_under_a_limit_that_no_file_system_tells_of_nothing_is_lost(
    write: Callable[..., Path], bucket: str, tmp_path: Path
) -> None:
    folder = write(HANDLER)
    (folder / "channels.toml").write_text(f'[channel.box]\nurl = "record://{bucket}?delay=0.02"\n')
    command = [sys.executable, "-c", LIMITED, str(folder), bucket]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    assert not ended.returncode, ended.stderr
    assert "no room for the store on its disk" in ended.stdout
    check(tmp_path / "gateway.db")
