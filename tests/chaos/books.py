"""Reading the books from outside: plain SQL on the database, and nothing of the gateway's own code."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, TypeVar

from chaos.audit import Books, DeliveryEntry, TransitionEntry

T = TypeVar("T")
Ask = Callable[[str], list[tuple[Any, ...]]]


class UnreachableError(Exception):
    """The books cannot be read at the moment."""


class BookReader(Protocol):
    """Where the books are read."""

    def books(self, *, thoroughly: bool = False) -> Books:
        """Everything in the store, in one view; ``thoroughly`` has the database examine itself."""

    def owed(self) -> int:
        """How many deliveries have not come to their end."""


class SqliteBooks:
    """The books in a SQLite file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def books(self, *, thoroughly: bool = False) -> Books:
        """Everything in the store, in one view; ``thoroughly`` has the database examine itself."""
        with closing(self._connect()) as connection:
            connection.execute("BEGIN")
            return _books(_asking(connection), _damage(connection) if thoroughly else ())

    def owed(self) -> int:
        """How many deliveries have not come to their end."""
        with closing(self._connect()) as connection:
            return _owed(_asking(connection))

    def _connect(self) -> sqlite3.Connection:
        # Read-only: two connections that write can damage a WAL, and this suite must not be one of them.
        return sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None, timeout=10)


def _asking(connection: sqlite3.Connection) -> Ask:
    return lambda question: connection.execute(question).fetchall()


def _damage(connection: sqlite3.Connection) -> tuple[str, ...]:
    found = connection.execute("PRAGMA integrity_check").fetchall()
    orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
    return (*(row[0] for row in found if row[0] != "ok"), *(f"{row[0]} {row[1]} has no {row[2]}" for row in orphans))


class PostgresBooks:
    """The books in a PostgreSQL database."""

    def __init__(self, url: str) -> None:
        self.url = url

    def books(self, *, thoroughly: bool = False) -> Books:
        """Everything in the store, in one view; the server examines itself."""
        return self._read(_books)

    def owed(self) -> int:
        """How many deliveries have not come to their end."""
        return self._read(_owed)

    def _read(self, question: Callable[[Ask], T]) -> T:
        import psycopg

        try:
            with psycopg.connect(self.url, connect_timeout=5) as connection:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                return question(lambda text: connection.execute(text).fetchall())
        except psycopg.OperationalError as error:
            raise UnreachableError(str(error)) from error


def _owed(ask: Ask) -> int:
    ((owed,),) = ask("SELECT count(*) FROM delivery WHERE status IN ('pending', 'claimed')")
    return int(owed)


def _books(ask: Ask, damage: Iterable[str] = ()) -> Books:
    ((store_id,),) = ask("SELECT store_id FROM about")
    outcomes: dict[int, list[tuple[int, str]]] = {}
    for delivery_id, n, outcome in ask("SELECT delivery_id, n, outcome FROM attempt ORDER BY delivery_id, n"):
        outcomes.setdefault(delivery_id, []).append((n, outcome))
    transitions = ask("SELECT seq, id, matched FROM transition ORDER BY seq")
    deliveries = ask(
        "SELECT id, transition_seq, handler, channel, status, attempts, fallback_of FROM delivery ORDER BY id"
    )
    return Books(
        store_id=store_id,
        transitions=tuple(TransitionEntry(seq, id, bool(matched)) for seq, id, matched in transitions),
        deliveries=tuple(DeliveryEntry(*row, tuple(outcomes.get(row[0], ()))) for row in deliveries),
        ledger=_ledger(ask("SELECT handler, channel, account, sum(count) FROM ledger GROUP BY 1, 2, 3")),
        counters={name: int(number) for name, number in ask("SELECT name, sum(count) FROM counter GROUP BY 1")},
        damage=tuple(damage),
    )


def _ledger(rows: Iterable[tuple[Any, ...]]) -> Mapping[tuple[str, str], Mapping[str, int]]:
    lines: dict[tuple[str, str], dict[str, int]] = {}
    for handler, channel, account, number in rows:
        lines.setdefault((handler, channel), {})[account] = int(number)
    return lines
