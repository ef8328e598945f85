"""Completions: from the store's writer to the event loop, with one wake-up for all that was committed together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class Completions:
    """Futures of the writer's thread as futures of ``loop``.

    Args:
        loop: where they are awaited.
        patience: seconds after which :meth:`expire` ends the waiting.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        self._loop, self._patience = loop, patience
        self._lock = threading.Lock()
        self._done: list[tuple[asyncio.Future[Any], Future[Any], Callable[[], object]]] = []
        self._waiting: dict[asyncio.Future[Any], float] = {}

    def of(self, future: Future[T], then: Callable[[], object]) -> asyncio.Future[T]:
        """Done in the loop soon after ``future`` is; ``then`` is called first, whether anybody still waits or not."""
        waiter: asyncio.Future[T] = self._loop.create_future()
        self._waiting[waiter] = self._loop.time()
        future.add_done_callback(lambda done: self._note(waiter, done, then))
        return waiter

    def expire(self) -> None:
        """Have who waits too long fail with ``TimeoutError``. No timer for each: nearly none is ever needed."""
        now = self._loop.time()
        late = [waiter for waiter, since in self._waiting.items() if now - since > self._patience]
        for waiter in late:
            del self._waiting[waiter]
            if not waiter.done():
                waiter.set_exception(TimeoutError())

    def _note(self, waiter: asyncio.Future[Any], done: Future[Any], then: Callable[[], object]) -> None:
        with self._lock:
            is_first = not self._done
            self._done.append((waiter, done, then))
        if is_first:
            with suppress(RuntimeError):  # the loop is closed: the server has stopped waiting
                self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        with self._lock:
            told, self._done = self._done, []
        for waiter, done, then in told:
            then()
            self._waiting.pop(waiter, None)
            if waiter.done():  # nobody waits any more
                continue
            error = done.exception()
            if error is None:
                waiter.set_result(done.result())
            else:
                waiter.set_exception(error)
