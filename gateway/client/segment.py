"""Segment: one file of transitions that wait, one on each line, locked as long as its process lives.

Only who holds the lock writes, sends or deletes it. The lock goes with the process, however that ends; then whoever
comes by may adopt the file.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

from gateway.transition import new_id

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HAS_LOCKS = fcntl is not None

SUFFIX = ".spool"
MOST_BYTES, MOST_LINES = 256 * 1024, 500
"""What is sent at once, unless a single line is longer."""


_open: WeakSet[Segment] = WeakSet()


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines that are sent together, and how many bytes of their segment they are."""

    segment: Segment
    lines: tuple[bytes, ...]
    length: int


class Segment:
    """One file, and how much of it was sent. Sent twice, after a crash, is harmless: transitions have ids."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._sent = 0
        _open.add(self)

    @classmethod
    def create(cls, folder: Path) -> Segment:
        """A new one, which sorts after the older ones.

        Raises:
            OSError: the folder takes no file, or knows no locks.
        """
        while True:
            path = folder / f"{new_id()}{SUFFIX}"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            if _locked(descriptor):
                return cls(path, descriptor)
            os.close(descriptor)  # somebody found it between its birth and its lock, and took it for an orphan

    @classmethod
    def adopt(cls, path: Path) -> Segment | None:
        """The one at ``path`` if the process that wrote it is gone; ``None`` if that lives, or the file is gone.

        Raises:
            OSError: it cannot be opened.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None
        if _locked(descriptor):
            return cls(path, descriptor)
        os.close(descriptor)
        return None

    @property
    def size(self) -> int:
        """Bytes, sent ones included."""
        return os.fstat(self._descriptor).st_size

    @property
    def is_drained(self) -> bool:
        """Whether all of it was sent."""
        return self._sent >= self.size

    def append(self, lines: bytes, *, sync: bool = False) -> None:
        """Add whole lines: all of them, or none.

        Args:
            lines: each ends in a newline.
            sync: wait until they are on the disk.

        Raises:
            OSError: there is no room for them.
        """
        before = self.size
        if os.write(self._descriptor, lines) < len(lines):
            os.ftruncate(self._descriptor, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if sync:
            os.fsync(self._descriptor)

    @property
    def is_gone(self) -> bool:
        """Whether somebody has deleted the file: what is in it can be sent from here, and by nobody else."""
        return os.fstat(self._descriptor).st_nlink == 0

    def batch(self, after: int = 0) -> Batch | None:
        """The next lines to be sent, or those so many bytes behind them; ``None`` if there are none.

        The last line of a process that was torn out of writing may have no end; it counts as a line.
        """
        place, wanted = self._sent + after, MOST_BYTES
        left = self.size - place
        if left <= 0:
            return None
        data = os.pread(self._descriptor, wanted, place)
        while b"\n" not in data and len(data) < left:
            wanted *= 2
            data = os.pread(self._descriptor, wanted, place)
        end = data.rfind(b"\n") + 1 or len(data)
        rows = data[:end].split(b"\n")[:MOST_LINES]
        length = min(sum(len(row) + 1 for row in rows), end)
        return Batch(self, tuple(row for row in rows if row.strip()), length)

    def advance(self, length: int) -> None:
        """So many bytes more were sent."""
        self._sent += length

    def lines_left(self) -> int:
        """How many lines were not sent."""
        count, place = 0, self._sent
        while data := os.pread(self._descriptor, MOST_BYTES, place):
            count, place = count + data.count(b"\n"), place + len(data)
        return count

    def clear(self) -> None:
        """Begin anew: all of it was sent."""
        os.ftruncate(self._descriptor, 0)
        self._sent = 0

    def delete(self) -> None:
        """Take the file away: all of it was sent. One that stays is emptied, or it would be sent again."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError:  # the folder has become read-only
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
        finally:
            self.release()

    def release(self) -> None:
        """Leave the file to whoever comes by."""
        _open.discard(self)
        os.close(self._descriptor)


def _locked(descriptor: int) -> bool:
    """Whether the lock is ours now, and the file still in its folder."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        os.close(descriptor)
        raise
    return os.fstat(descriptor).st_nlink > 0


def _forget_inherited() -> None:
    """A forked child closes its copies, or the locks would stay after the parent has let go of them."""
    for segment in list(_open):
        segment.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)
