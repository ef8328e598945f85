"""SQLite: one file in WAL mode, one writing connection per process, any number of readers.

SQLite up to 3.51.2 can damage a WAL when two connections write or checkpoint at the same instant.
So every write transaction and the checkpoint in it run under one lock file that all processes on
the host share, and every other connection is opened read-only, which never checkpoints.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import QueuePool, StaticPool

from gateway.errors import StoreError
from gateway.store.forking import inside_sqlite
from gateway.store.locks import CAN_SHARE, LONGEST_WAIT, LockFile
from gateway.store.reader import QUERY_LIMIT, READERS
from gateway.store.room import Gauge, Room
from gateway.store.translation import translated
from gateway.store.upkeep import COMPANIONS, SqliteUpkeep, measured
from gateway.store.whereabouts import Whereabouts

T = TypeVar("T")
Sync = Literal["full", "normal"]

PREFIX = "sqlite:///"
_FOREIGN_BUSY_MILLISECONDS = 5000
_STEPS_BETWEEN_LOOKS = 5000

_PERMISSION = "; the user who runs this must be able to read and write it and its folder"

_WRITER_PRAGMAS = (
    "auto_vacuum = INCREMENTAL",  # takes effect only before the first table exists
    "journal_mode = WAL",
    "wal_autocheckpoint = 500",  # smaller ones hold up fewer commits for less long; more of them cost more syncs
    "journal_size_limit = 8000000",
    "cache_size = -8000",
    "foreign_keys = ON",
)


def sqlite_path(url: str) -> Path:
    """The path in ``url``, as written; raises ``StoreError`` if it names no file."""
    path = url.removeprefix(PREFIX)
    if path == url or not path or path == ":memory:" or "\0" in path:
        raise StoreError(f"a store is a SQLite file such as {PREFIX}var/gateway.db")
    return Path(path)


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """Where the store is and how carefully it is written."""

    path: Path
    sync: Sync

    def open(self) -> SqliteDatabase:
        """Open files and connections for the current process.

        Raises:
            StoreError: the file or its folder cannot be made or opened.
        """
        path = self.path.absolute()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # What is told may be private; SQLite gives the WAL the permissions of the file.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            return SqliteDatabase(path, self.sync)
        except OSError as error:
            hint = _PERMISSION if isinstance(error, PermissionError) else ""
            raise StoreError(f"cannot open the store {path}: {error.strerror}{hint}") from error


class SqliteDatabase:
    """The open files of one process: the writing connection, the readers, the two lock files."""

    shares_rates = False
    migrates = True

    def __init__(self, path: Path, sync: Sync) -> None:
        self._path = path
        self._write_lock = LockFile(path.with_name(f"{path.name}.lock"))
        self._presence = LockFile(path.with_name(f"{path.name}.open"))
        self._writing_engine = _writing_engine(path, sync)
        self._readers = SqliteReaders(path)
        self._writing: Connection | None = None
        files = [path.with_name(path.name + companion) for companion in COMPANIONS]
        self._whereabouts = Whereabouts([*files, self._write_lock.path, self._presence.path])
        self.upkeep = SqliteUpkeep(path, self._write_lock, lambda: self._writing)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """The writing connection, alone among all processes, until the block's changes are committed."""
        with self._write_lock.held(LONGEST_WAIT), inside_sqlite:
            if self._writing is None:
                self._writing = self._writing_engine.connect()
            self._whereabouts.check()
            with self._writing.begin():
                yield self._writing
                self.upkeep.note_empty(self._writing)

    def read(self, query: Callable[[Connection], T], seconds: float = QUERY_LIMIT) -> T:
        """What ``query`` finds in one consistent view.

        Raises:
            StoreError: it took longer than ``seconds``.
        """
        return self._readers.read(query, seconds)

    def is_alone(self) -> bool:
        """Whether no other process has the store open. From now on, this one has.

        Raises:
            StoreError: another has, and on this system only one can.
        """
        alone = self._presence.try_take()
        if not CAN_SHARE:
            if not alone:
                raise StoreError("another process has the store open, and here only one can")
            return True
        self._presence.try_take(shared=True)
        return alone

    def now(self) -> datetime:
        """The time by the host's clock, which all processes on the file share."""
        return datetime.now(UTC)

    def listen(self, heard: Callable[[], object]) -> None:
        """Nothing is heard of other processes on a file: whoever must know of their work looks into it."""

    def close(self) -> None:
        """Close everything. The lock is held, because the last connection to close checkpoints."""
        with self._write_lock.held(LONGEST_WAIT), inside_sqlite:
            if self._writing is not None:
                self._writing.close()
            self._readers.close()
            self._writing_engine.dispose()
        self._write_lock.close()
        self._presence.close()


class SqliteReaders:
    """The reading connections of one process to the file at ``path``, which must be there."""

    def __init__(self, path: Path) -> None:
        self._gauge = Gauge(lambda: measured(path))
        self._engine = _reading_engine(path)

    def read(self, query: Callable[[Connection], T], seconds: float = QUERY_LIMIT) -> T:
        """What ``query`` finds in one consistent view.

        Raises:
            StoreError: it took longer than ``seconds``.
        """
        with (
            translated(),
            inside_sqlite,
            self._engine.connect() as connection,
            connection.begin(),
            _time_limit(connection, seconds),
        ):
            return query(connection)

    def room(self) -> Room:
        """How much room there is on the disk."""
        return self._gauge.room()

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def _writing_engine(path: Path, sync: Sync) -> Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA busy_timeout = {_FOREIGN_BUSY_MILLISECONDS}")
            for pragma in (*_WRITER_PRAGMAS, f"synchronous = {sync.upper()}"):
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error as error:
            connection.close()
            raise _at_opening(path, error) from error
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=StaticPool)
    return _beginning_with(engine, "BEGIN IMMEDIATE")


def _reading_engine(path: Path) -> Engine:
    address = f"file:{quote(str(path))}?mode=ro"

    def connect() -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=5)
        except sqlite3.Error as error:
            raise _at_opening(path, error) from error
        try:
            connection.execute("PRAGMA schema_version").close()  # the first look into the file
        except sqlite3.Error as error:
            connection.close()
            raise _at_opening(path, error) from error
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=READERS, max_overflow=0)
    return _beginning_with(engine, "BEGIN")


def _at_opening(path: Path, error: sqlite3.Error) -> Exception:
    """What is wrong with the file itself, told with its path; any other ``error`` as it is."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says in which system call
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError(
            f"the store {path} is not a database: [store] url names some other file, or it is damaged; "
            "correct the address, or restore a backup"
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StoreError(f"cannot open the store {path}: {error}{_PERMISSION}")
    return error


def _beginning_with(engine: Engine, statement: str) -> Engine:
    """Begin transactions with ``statement``; the driver itself would begin one only before the first change."""
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(statement))
    return engine


@contextmanager
def _time_limit(connection: Connection, seconds: float) -> Iterator[None]:
    raw: Any = connection.connection.dbapi_connection
    deadline = time.monotonic() + seconds
    raw.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)
