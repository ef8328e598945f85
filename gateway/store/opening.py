"""Opening a store: which database an address means."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection

from gateway.errors import StoreError
from gateway.store.address import PREFIX, parse_address
from gateway.store.dialects import lock_schema
from gateway.store.migration import Migration, migrate
from gateway.store.nodes import nodes_at_work
from gateway.store.reader import Reader, Readers
from gateway.store.schema import SCHEMA_VERSION, version_of
from gateway.store.sqlite import SqliteFile, SqliteReaders, sqlite_path
from gateway.store.store import Database, Store
from gateway.store.translation import translated

Sync = Literal["full", "normal"]


def open_store(
    url: str, sync: Sync = "full", *, base: Path = Path(), node_ttl: timedelta = timedelta(seconds=10)
) -> Store:
    """Open the store at ``url``, making the file and its folder, or the tables in an empty database, if need be.

    Args:
        url: ``sqlite:///relative/path.db``, ``sqlite:////absolute/path.db`` or
            ``postgresql://user:password@host/database``.
        sync: ``"full"``: what is accepted is on the disk. ``"normal"``: it survives the death of the
            process, and the last moments are lost when the power fails.
        base: where a relative path starts.
        node_ttl: how long another process may be silent before its claims are taken from it.

    Raises:
        StoreError: it cannot be opened, is no store, or was written by a newer gateway; or it is a PostgreSQL
            database written by an older one, which is migrated only when asked.
    """
    return Store(opener(url, sync, base), node_ttl.total_seconds())


def open_reader(url: str, *, base: Path = Path()) -> Reader:
    """Open the store at ``url`` for questions alone; see :func:`open_store`.

    Raises:
        StoreError: there is none, it is no store, or it was written by another version of the gateway.
    """
    return Reader(_readers(url, base))


def has_store(url: str, *, base: Path = Path()) -> bool:
    """Whether there is a store at ``url`` already.

    Raises:
        StoreError: the database cannot be reached, or holds the tables of another program.
    """
    if not url.startswith(PREFIX):
        return (base / sqlite_path(url)).exists()
    readers = _readers(url, base)
    try:
        return readers.read(version_of) is not None
    finally:
        readers.close()


def migrate_store(url: str, *, base: Path = Path()) -> Migration:
    """Bring the tables of the store at ``url`` up to date, or make them; says what was to be done.

    Raises:
        StoreError: a gateway of an older version is at work on it; or it cannot be opened, see :func:`open_store`.
    """
    database = opener(url, base=base)()
    try:
        with translated(), database.transaction() as connection:
            lock_schema(connection)
            _refuse_company(connection, database)
            return migrate(connection)
    finally:
        database.close()


def _refuse_company(connection: Connection, database: Database) -> None:
    """Make sure that nobody uses tables that are to be changed."""
    version = version_of(connection)
    if version is None or version >= SCHEMA_VERSION:
        return
    if not database.is_alone() if database.migrates else nodes_at_work(connection):
        raise StoreError(
            "a gateway of an older version has the store open, or had until a moment ago; "
            "end every gateway on it, wait ten seconds, and migrate again"
        )


def opener(url: str, sync: Sync = "full", base: Path = Path()) -> Callable[[], Database]:
    """What opens the database at ``url`` for the process that calls it.

    Raises:
        StoreError: ``url`` is no address of a store.
    """
    if url.startswith(PREFIX):
        from gateway.store.postgres import PostgresServer  # needs an optional package

        return PostgresServer(parse_address(url), sync).open
    return SqliteFile(base / sqlite_path(url), sync).open


def _readers(url: str, base: Path) -> Readers:
    if url.startswith(PREFIX):
        from gateway.store.postgres import PostgresReaders, PostgresServer  # needs an optional package

        return PostgresReaders(PostgresServer(parse_address(url)))
    path = (base / sqlite_path(url)).absolute()
    if not path.is_file():
        raise StoreError(f"there is no store {path}")
    return SqliteReaders(path)
