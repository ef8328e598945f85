"""Spool: the folder in which transitions wait for a gateway, shared by all processes that send to the same.

Each process writes files of its own. What a process that is gone has left is adopted by the next that looks.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from gateway.client.segment import HAS_LOCKS, SUFFIX, Batch, Segment
from gateway.errors import ClientError

log = logging.getLogger("gateway.client")

SEGMENT_BYTES = 1024 * 1024
"""A file that is longer is not added to: it can be deleted sooner."""

REJECTED = "rejected.ndjson"
MOST_REJECTED_BYTES = 16 * 1024 * 1024

PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}
"""What may keep a file from being made and says nothing against the folder."""


class Spool:
    """What waits in ``folder``.

    Args:
        folder: made when it is first needed, readable by this user alone.
        limit: bytes that may wait in it, those of all processes together.
        sync: have each append wait for the disk.
    """

    def __init__(self, folder: Path, limit: int, *, sync: bool = False) -> None:
        self.folder, self.limit, self.sync = folder, limit, sync
        self.forget_inherited()

    def forget_inherited(self) -> None:
        """In a forked child: the files are the parent's, and the lock may be held for ever."""
        self._segments: list[Segment] = []
        self._lock = threading.Lock()
        self._others_bytes = 0

    def probe(self) -> None:
        """See whether files can be kept here.

        Raises:
            ClientError: they cannot, and never will.
        """
        if not HAS_LOCKS:
            raise ClientError("a client needs a system with POSIX file locks: post to the gateway's API by other means")
        try:
            self._created().delete()
        except OSError as error:
            if error.errno not in PASSING:
                raise ClientError(
                    f"transitions cannot wait in {self.folder}: {error.strerror}; "
                    "name a folder on a local disk by spool= or GATEWAY_SPOOL"
                ) from None

    def _created(self) -> Segment:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Segment.create(self.folder)

    # what this process has to send

    def append(self, lines: bytes) -> None:
        """Keep whole lines, all of them or none.

        Raises:
            OSError: there is no room for them, or no folder.
        """
        with self._lock:
            if not self._segments or self._segments[-1].size >= SEGMENT_BYTES or self._segments[-1].is_gone:
                self._others_bytes = self._measured()
                self._segments.append(self._created())
            if self._bytes() + len(lines) > self.limit:
                raise OSError(errno.EDQUOT, f"{self.limit} bytes wait in {self.folder}, which is the limit")
            self._segments[-1].append(lines, sync=self.sync)

    def _bytes(self) -> int:
        return self._others_bytes + sum(segment.size for segment in self._segments)

    def _measured(self) -> int:
        """Bytes that wait in files of others."""
        found = 0
        for path in self._others():
            with suppress(OSError):
                found += path.stat().st_size
        return found

    def _others(self) -> Iterator[Path]:
        """Files of other processes, the oldest first."""
        own = {segment.path for segment in self._segments}
        return (path for path in sorted(self.folder.glob(f"*{SUFFIX}")) if path not in own)

    def batch(self) -> Batch | None:
        """What of it is to be sent next; ``None`` if there is nothing."""
        with self._lock:
            return self._segments[0].batch() if self._segments else None

    def behind(self, batch: Batch) -> tuple[bytes, ...]:
        """What is to be sent after ``batch``, or some of it."""
        with self._lock:
            if batch.segment not in self._segments:
                return ()
            later = [batch.segment.batch(batch.length), *(segment.batch() for segment in self._segments[1:2])]
            return next((one.lines for one in later if one is not None), ())

    def settle(self, batch: Batch) -> None:
        """``batch`` has arrived."""
        with self._lock:
            segment = batch.segment
            if segment not in self._segments:  # closed meanwhile: who adopts it sends it once more
                return
            segment.advance(batch.length)
            if segment.is_drained and segment is self._segments[-1]:
                segment.clear()
            elif segment.is_drained:
                self._segments.remove(segment)
                segment.delete()

    @property
    def is_empty(self) -> bool:
        """Whether all that this process had to send has arrived."""
        with self._lock:
            return all(segment.is_drained for segment in self._segments)

    def waiting(self) -> int:
        """How many transitions of this process have not arrived."""
        with self._lock:
            return sum(segment.lines_left() for segment in self._segments)

    def close(self) -> None:
        """Leave what has not arrived to others, and no empty file."""
        with self._lock:
            for segment in self._segments:
                segment.delete() if segment.is_drained else segment.release()
            self._segments = []

    # what others have left

    def others(self) -> int:
        """How many files of other processes there are, alive or gone."""
        with self._lock:
            return len(list(self._others()))

    def orphans(self) -> Iterator[Segment]:
        """The files of processes that are gone, the oldest first; each is its receiver's from then on."""
        with self._lock:
            self._others_bytes, others = self._measured(), list(self._others())
        for path in others:
            found = None
            with suppress(OSError):  # of another user, or on a disk that fails: not ours to send
                found = Segment.adopt(path)
            if found is not None:
                yield found

    # what the gateway does not take

    def reject(self, line: bytes, complaints: Sequence[str]) -> None:
        """Put a transition aside that the gateway will never take, with what is wrong with it."""
        text = line.decode(errors="replace")
        entry = {"rejected_at": datetime.now(UTC).isoformat(), "complaints": list(complaints), "event": text}
        try:
            kept = self._put_aside(json.dumps(entry).encode() + b"\n")
        except OSError:
            kept = False
        where = str(self.folder / REJECTED) if kept else "nowhere: there is no room"
        log.error("the gateway does not take a transition, kept in %s: %s", where, "; ".join(complaints))

    def _put_aside(self, entry: bytes) -> bool:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / REJECTED, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if os.fstat(descriptor).st_size + len(entry) > MOST_REJECTED_BYTES:
                return False
            return os.write(descriptor, entry) == len(entry)
        finally:
            os.close(descriptor)
