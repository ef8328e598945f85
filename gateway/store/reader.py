"""A store that is only asked: it joins no other process there, waits for none and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from gateway.store import schema
from gateway.store.questions import Questions
from gateway.store.room import Room

T = TypeVar("T")

READERS = 4
"""Connections that read, at most, in one process."""

QUERY_LIMIT = 2.0
"""Seconds a query may take: one that lingers keeps the database from tidying up what was changed meanwhile."""


class Readers(Protocol):
    """The reading connections of one process."""

    def read(self, query: Callable[[Connection], T], seconds: float = QUERY_LIMIT) -> T:
        """What ``query`` finds in one consistent view, within ``seconds``; raises ``StoreError`` if it takes longer."""

    def room(self) -> Room:
        """How much room the store has."""

    def close(self) -> None:
        """Close the connections."""


class Reader(Questions):
    """A store opened for questions alone.

    Raises:
        StoreError: it cannot be read, or was written by another version of the gateway.
    """

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        try:
            self.ask(schema.recognise)
        except BaseException:
            self.close()
            raise

    def ask(self, query: Callable[[Connection], T]) -> T:
        """What ``query`` finds, on a read-only connection."""
        return self._readers.read(query)

    def room(self) -> Room:
        """How much room the store has."""
        return self._readers.room()

    def close(self) -> None:
        """Close the connections."""
        self._readers.close()
