"""Lock files: how the gateway processes on one host keep out of each other's way.

A lock belongs to the operating system's record of an open file, so it is gone the moment its
process is, however that ended.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakSet

from gateway.errors import StoreError

if sys.platform == "win32":
    import msvcrt

    CAN_SHARE = False
    """Whether several processes may hold a lock together. Where they cannot, one process opens the store."""

    def _lock(descriptor: int, shared: bool) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    CAN_SHARE = True
    """Whether several processes may hold a lock together. Where they cannot, one process opens the store."""

    def _lock(descriptor: int, shared: bool) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


_TAKEN = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}
LONGEST_WAIT = 30.0
"""Seconds a transaction waits for the other processes on the host."""

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.01

_open: WeakSet[LockFile] = WeakSet()


class LockFile:
    """An advisory lock on a file made for it. One thread at a time may use an instance."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        _open.add(self)

    def try_take(self, *, shared: bool = False) -> bool:
        """Take the lock, or change between shared and not; ``False`` when another process is in the way.

        Raises:
            StoreError: the file system knows no locks.
        """
        try:
            _lock(self._descriptor, shared)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise StoreError(f"cannot lock {self.path}: {error.strerror}; keep the store on a local disk") from error
        return True

    @contextmanager
    def held(self, longest_wait: float) -> Iterator[None]:
        """Hold the lock for a block.

        Raises:
            StoreError: another process held it for ``longest_wait`` seconds.
        """
        self._take(time.monotonic() + longest_wait, longest_wait)
        try:
            yield
        finally:
            _unlock(self._descriptor)

    def _take(self, deadline: float, longest_wait: float) -> None:
        pause = _SHORTEST_PAUSE
        while not self.try_take():
            if time.monotonic() > deadline:
                raise StoreError(f"another process has been writing to the store for {longest_wait:g} s ({self.path})")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def close(self) -> None:
        """Let go of lock and file. Safe to call twice."""
        descriptor, self._descriptor = self._descriptor, -1
        _open.discard(self)
        if descriptor >= 0:
            os.close(descriptor)


def _forget_inherited() -> None:
    """Close a forked child's copies, or the child would keep its parent's locks alive after the parent's death.

    Closing leaves the parent's locks as they are; unlocking would not.
    """
    for lock in list(_open):
        with suppress(OSError):
            lock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)
