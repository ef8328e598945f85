"""From what the database library raises to what this package raises."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.errors import StoreError, StoreFullError, StoreSlowError

# A file-size limit or a quota shows as a failed write, not as a full disk.
_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
_SERVER_DISK_FULL = "53100"


def translate(error: Exception) -> StoreError:
    """The error of ours that says what ``error`` does. Statements and their values are left out."""
    if isinstance(error, StoreError):
        return error
    original = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(original, "sqlite_errorcode", None)
    if code in _NO_ROOM or getattr(original, "sqlstate", None) == _SERVER_DISK_FULL:
        return StoreFullError(f"no room for the store on its disk: {original}")
    if code == sqlite3.SQLITE_INTERRUPT:
        return StoreSlowError("the query took too long")
    return StoreError(f"the store failed: {original}")


@contextmanager
def translated() -> Iterator[None]:
    """Raise our errors in place of the library's."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise translate(error) from error
