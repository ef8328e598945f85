"""From what the database library raises to what this package raises."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from gateway.errors import StoreError, StoreFullError, StoreSlowError

# A file-size limit or a quota shows as a failed write, not as a full disk.
_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}

# What PostgreSQL calls them.
_DISK_FULL, _CANCELLED, _READ_ONLY, _DEADLOCK = "53100", "57014", "25006", "40P01"


def translate(error: Exception) -> StoreError:
    """The error of ours that says what ``error`` does. Statements and their values are left out."""
    if isinstance(error, StoreError):
        return error
    original = error.orig if isinstance(error, DBAPIError) else error
    code, state = getattr(original, "sqlite_errorcode", None), _state(error)
    if code in _NO_ROOM or state == _DISK_FULL:
        return StoreFullError(f"no room for the store on its disk: {_said(original)}")
    if code == sqlite3.SQLITE_INTERRUPT or state == _CANCELLED:
        return StoreSlowError("the query took too long")
    return StoreError(f"the store failed: {_said(original)}")


def is_passing(error: Exception) -> bool:
    """Whether the store as a whole takes nothing at present, and may take the same later."""
    if isinstance(error, DBAPIError):
        return isinstance(error, OperationalError) or error.connection_invalidated or _state(error) == _READ_ONLY
    return isinstance(error, StoreError)


def is_deadlock(error: Exception) -> bool:
    """Whether two nodes waited for each other, and the database chose to refuse us."""
    return _state(error) == _DEADLOCK


def _state(error: Exception) -> str | None:
    """PostgreSQL's code of what went wrong."""
    original = error.orig if isinstance(error, DBAPIError) else error
    state: str | None = getattr(original, "sqlstate", None)
    return state


def _said(original: object) -> str:
    """What the database says, without the details in which PostgreSQL quotes values."""
    diagnosis = getattr(getattr(original, "diag", None), "message_primary", None)
    return str(diagnosis) if diagnosis else " ".join(str(original).split())


@contextmanager
def translated() -> Iterator[None]:
    """Raise our errors in place of the library's."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise translate(error) from error
