from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.errors import StoreError
from gateway.store.locks import LockFile

HOLD = """
import sys, time
from pathlib import Path
from gateway.store.locks import LockFile
lock = LockFile(Path(sys.argv[1]))
assert lock.try_take(shared=sys.argv[2] == "shared")
print("held", flush=True)
time.sleep(60)
"""


class Other:
    """Another process that holds the lock until it is killed."""

    def __init__(self, path: Path, how: str) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", HOLD, str(path), how], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.mark.parametrize(
    ("theirs", "ours", "granted"),
    [("shared", True, True), ("shared", False, False), ("alone", True, False), ("alone", False, False)],
)
def test_a_lock_is_shared_or_held_alone(tmp_path: Path, theirs: str, ours: bool, granted: bool) -> None:
    other = Other(tmp_path / "lock", theirs)
    lock = LockFile(tmp_path / "lock")
    try:
        assert lock.try_take(shared=ours) is granted
    finally:
        other.kill()
        lock.close()


def test_a_lock_is_free_the_moment_its_process_is_killed(tmp_path: Path) -> None:
    lock = LockFile(tmp_path / "lock")
    other = Other(tmp_path / "lock", "alone")
    assert not lock.try_take()

    other.kill()

    assert lock.try_take()
    lock.close()


def test_waiting_for_a_lock_has_an_end(tmp_path: Path) -> None:
    other = Other(tmp_path / "lock", "alone")
    lock = LockFile(tmp_path / "lock")
    began = time.monotonic()
    try:
        with pytest.raises(StoreError, match="another process"), lock.held(0.05):
            pass
    finally:
        other.kill()
        lock.close()

    assert time.monotonic() - began < 5


def test_a_held_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    lock, second = LockFile(tmp_path / "lock"), LockFile(tmp_path / "lock")
    with lock.held(1):
        assert not second.try_take()

    assert second.try_take()
    lock.close()
    second.close()
    second.close()
