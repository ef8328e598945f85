"""The writer: the one thread of a process that changes the store, many operations per transaction.

There is no timer: while one transaction is being written to the disk, operations queue up, and the
next transaction takes all of them. A slow disk makes large transactions, a fast one small.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from gateway.errors import StoreClosedError, StoreDoubtError, StoreError, StoreFullError
from gateway.store.operations import Operation
from gateway.store.translation import is_deadlock, is_passing, translate

log = logging.getLogger("gateway.store")

A = TypeVar("A")
R = TypeVar("R")

LARGEST_BATCH = 1000
PAUSE_AFTER_FAILURE = 0.5
"""Seconds until what must not be lost is tried again."""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """An operation somebody waits for.

    ``kept``: if the store cannot take it now, it stays here until it can.
    """

    operation: Operation[Any, Any]
    argument: Any
    kept: bool
    future: Future[Any] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction that is on the disk: how many operations were in it, and how long it took."""

    operations: int
    seconds: float


class Writer:
    """Runs operations in the order they came, those that came together in one transaction.

    Args:
        transaction: gives the connection for the length of one transaction.
        node: the id operations run under.
        beat: asks for a heartbeat; called every ``beat_every`` seconds from the writer's thread.
        beat_every: seconds.
        committed: told of every transaction; must not raise.
        relieve: makes room after a change was refused for want of it, as far as it can; must not raise.
        doubted: told when it is not known whether a transaction was committed; must not raise.
    """

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[Connection]],
        node: Callable[[], int],
        beat: Callable[[], object],
        beat_every: float,
        committed: Callable[[Commit], object] | None = None,
        relieve: Callable[[], object] = lambda: None,
        doubted: Callable[[], object] = lambda: None,
    ) -> None:
        self._transaction, self._node = transaction, node
        self._beat, self._beat_every = beat, beat_every
        self._relieve = relieve
        self._beat_at = time.monotonic() + beat_every
        self._committed, self._doubted = committed, doubted
        self._queue: SimpleQueue[Request | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closing = self._failing = False
        self._thread = threading.Thread(target=self._run, name="gateway-store", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many operations are queued."""
        return self._queue.qsize()

    def submit(self, operation: Operation[A, R], argument: A, *, kept: bool = False) -> Future[R]:
        """Queue ``operation`` on ``argument``; the future is done when its transaction is on the disk.

        Raises:
            StoreClosedError: the store is closed.
        """
        request = Request(operation, argument, kept)
        with self._lock:  # or a request could slip in behind the mark that ends the queue, and wait for ever
            if self._closing:
                raise StoreClosedError("the store is closed")
            self._queue.put(request)
        return request.future

    def close(self) -> None:
        """Write what is queued, then stop. What cannot be written then is refused."""
        with self._lock:
            self._closing = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        waiting: list[Request] = []
        closing = False
        while not closing:
            fresh, closing = self._collect(PAUSE_AFTER_FAILURE if waiting else None)
            # In two transactions: what is too much for the disk must not take the rest down with it.
            waiting = self._commit(waiting) + self._commit(fresh)
            self._beat_if_due()
        for request in self._commit(waiting):
            request.future.set_exception(StoreClosedError("the store was closed before it could take this"))

    def _collect(self, patience: float | None) -> tuple[list[Request], bool]:
        """What is queued, and whether the queue has ended. Waits for something until the next beat is due."""
        until_beat = max(0.0, self._beat_at - time.monotonic())
        batch: list[Request] = []
        try:
            request = self._queue.get(timeout=until_beat if patience is None else min(patience, until_beat))
            while request is not None:
                if request.future.set_running_or_notify_cancel():
                    batch.append(request)
                if len(batch) >= LARGEST_BATCH:
                    return batch, False
                request = self._queue.get_nowait()
        except Empty:
            return batch, False
        return batch, True

    def _beat_if_due(self) -> None:
        now = time.monotonic()
        if now >= self._beat_at:
            self._beat_at = now + self._beat_every
            self._beat()

    def _commit(self, batch: list[Request]) -> list[Request]:
        """Run ``batch`` in one transaction; returns what is to be tried again."""
        if not batch:
            return []
        began = time.monotonic()
        try:
            results = self._run_again_after_deadlock(batch)
        except Exception as error:
            return self._fail(batch, translate(error)) if is_passing(error) else self._commit_singly(batch, error)
        if self._failing:
            self._failing = False
            log.warning("the store takes changes again")
        if self._committed is not None:
            self._committed(Commit(len(batch), time.monotonic() - began))
        for request, result in results:
            request.future.set_result(result)
        return []

    def _run_again_after_deadlock(self, batch: list[Request]) -> list[tuple[Request, Any]]:
        try:
            return self._run_together(batch)
        except DBAPIError as error:
            if not is_deadlock(error):
                raise
        log.warning("two nodes waited for each other, and this one tries again")
        return self._run_together(batch)

    def _run_together(self, batch: list[Request]) -> list[tuple[Request, Any]]:
        results: list[tuple[Request, Any]] = []
        with self._transaction() as connection:
            for operation, requests in _by_operation(batch).items():
                found = operation(connection, self._node(), [request.argument for request in requests])
                results += zip(requests, found, strict=True)
        return results

    def _commit_singly(self, batch: list[Request], error: Exception) -> list[Request]:
        """Find the one request that spoils the transaction for all."""
        if len(batch) > 1:
            return [again for request in batch for again in self._commit([request])]
        batch[0].future.set_exception(translate(error) if isinstance(error, DBAPIError) else error)
        return []

    def _fail(self, batch: list[Request], error: StoreError) -> list[Request]:
        """The store takes nothing at present: keep what must not be lost, refuse the rest."""
        if not self._failing:
            self._failing = True
            log.error("the store takes no changes", extra={"error": str(error)})
        if isinstance(error, StoreFullError):
            self._relieve()
        if isinstance(error, StoreDoubtError):
            self._doubted()
        for request in batch:
            if not request.kept:
                request.future.set_exception(error)
        return [request for request in batch if request.kept]


def _by_operation(batch: Sequence[Request]) -> dict[Operation[Any, Any], list[Request]]:
    """Requests of the same operation together: one statement serves many rows."""
    together: dict[Operation[Any, Any], list[Request]] = {}
    for request in batch:
        together.setdefault(request.operation, []).append(request)
    return together
