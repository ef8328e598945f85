"""Upkeep of a SQLite store: its ballast, its empty pages, its write-ahead log.

On a full disk SQLite can neither delete nor checkpoint, so the store cannot free itself. The
ballast is a file beside it that is worth nothing but its room: it is given up when that happens.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection

from gateway.errors import StoreError
from gateway.store.locks import LONGEST_WAIT, LockFile
from gateway.store.room import MEBIBYTE, Measured, ballast_on

log = logging.getLogger("gateway.store")

COMPANIONS = ("", "-wal", "-shm")
"""What is added to a store's name to name its files."""


def measured(path: Path, reusable: int = 0) -> Measured:
    """How much room the store in the file ``path`` takes, and has; ``reusable`` as far as known.

    Raises:
        OSError: its folder is not there.
    """
    usage = shutil.disk_usage(path.parent)
    size = sum(_taken(path.with_name(path.name + companion)) for companion in COMPANIONS)
    return Measured(usage.total, usage.free, size, reusable, _taken(_ballast_of(path)))


def _ballast_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.ballast")


class SqliteUpkeep:
    """Looks after the files of one store.

    Args:
        path: the store's file.
        lock: held while the write-ahead log is emptied.
        writing: the writing connection, if it is open.
    """

    def __init__(self, path: Path, lock: LockFile, writing: Callable[[], Connection | None]) -> None:
        self._path, self._lock, self._writing = path, lock, writing
        self._ballast = _ballast_of(path)
        self._empty = 0
        self._page = 0

    def note_empty(self, connection: Connection) -> None:
        """Remember how much of the file is empty. Called in every transaction; costs a few microseconds."""
        raw = _raw(connection)
        self._page = self._page or _number(raw, "page_size")
        self._empty = _number(raw, "freelist_count") * self._page

    def measure(self) -> Measured:
        """Look at the disk; raises ``OSError`` if it is not there."""
        return measured(self._path, self._empty)

    def restock(self) -> bool:
        """Make the ballast whole; whether it is."""
        try:
            wanted = ballast_on(shutil.disk_usage(self._path.parent).total)
            if _taken(self._ballast) >= wanted:
                return True
            self._ballast.unlink(missing_ok=True)
            with open(self._ballast, "xb", opener=_private) as file:
                _fill(file, wanted)
        except FileExistsError:  # another process is at it
            return False
        except OSError:
            with suppress(OSError):
                self._ballast.unlink(missing_ok=True)
            return False
        return True

    def relieve(self) -> None:
        """Give up the ballast and empty the write-ahead log, which needs room in the file. Never raises."""
        try:
            if self._drop():
                log.error("the disk is full: the ballast was given up to finish what was accepted; make room")
            with self._lock.held(LONGEST_WAIT):
                self._empty_log()
        except (OSError, StoreError, sqlite3.Error) as error:
            log.debug("the write-ahead log could not be emptied", extra={"error": str(error)})

    def reclaim(self, connection: Connection, node: int, wishes: Sequence[int]) -> list[int]:
        """An operation: give back up to so many empty bytes of the file, in all; how many stay empty in it."""
        raw = _raw(connection)
        page = _number(raw, "page_size")
        for _ in range(sum(wishes) // page):  # one step of the statement frees one page, and the driver takes one
            raw.execute("PRAGMA incremental_vacuum(1)")
        return [_number(raw, "freelist_count") * page for _ in wishes]

    def _drop(self) -> bool:
        try:
            self._ballast.unlink()
        except FileNotFoundError:
            return False
        return True

    def _empty_log(self) -> None:
        connection = self._writing()
        if connection is not None:
            _raw(connection).execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _raw(connection: Connection) -> sqlite3.Connection:
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def _number(raw: sqlite3.Connection, pragma: str) -> int:
    found: int = raw.execute(f"PRAGMA {pragma}").fetchone()[0]
    return found


def _taken(path: Path) -> int:
    """What a file takes on the disk; holes in it take nothing."""
    try:
        found = path.stat()
    except OSError:
        return 0
    blocks = getattr(found, "st_blocks", None)
    return found.st_size if blocks is None else min(found.st_size, blocks * 512)


def _fill(file: BinaryIO, size: int) -> None:
    """Make ``file`` take ``size`` bytes of the disk."""
    if _allocated(file.fileno(), size) and _taken(Path(file.name)) >= size:
        return
    for start in range(0, size, MEBIBYTE):  # noise, because a file system that compresses keeps zeros for nothing
        file.write(os.urandom(min(MEBIBYTE, size - start)))
    file.flush()
    os.fsync(file.fileno())


def _allocated(descriptor: int, size: int) -> bool:
    """Whether the file system could be told to set ``size`` bytes aside; not every one can."""
    if not hasattr(os, "posix_fallocate"):
        return False
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        return False
    return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
