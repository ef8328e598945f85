"""Backlog: what the store could not take just now (a full disk, a lock held too long), kept in memory and tried again.

The last resort of a gateway inside a flow, which must neither raise nor lose what it was told.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from weakref import WeakSet

from gateway.errors import StoreError

log = logging.getLogger("gateway.delivery")

MOST = 1_000
"""Pieces of work kept; with more, the oldest is given up."""

RETRY_SECONDS = 1.0

_backlogs: WeakSet[Backlog] = WeakSet()


class Backlog:
    """Work that failed with a :class:`~gateway.errors.StoreError`, tried again every second until it does not."""

    def __init__(self) -> None:
        self._closing = threading.Event()
        self.forget_inherited()
        _backlogs.add(self)

    def forget_inherited(self) -> None:
        """In a forked child: the work is the parent's, its thread is not here, and the locks may be held for ever."""
        self._work: deque[Callable[[], object]] = deque()
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._work)

    def add(self, work: Callable[[], object]) -> None:
        """Try ``work`` again later. What it raises other than ``StoreError`` is logged and ends it."""
        with self._lock:
            if self._closing.is_set():
                log.error("a notification was lost: the gateway is closed")
                return
            if len(self._work) == MOST:
                log.error("a notification was given up: the store has been refusing too many")
                self._work.popleft()
            self._work.append(work)
            self._staff()

    def _staff(self) -> None:
        """Have a thread that tries again. The lock is held."""
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._run, name="gateway-backlog", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending and starts no threads; close() tries once more
            return
        self._thread = thread

    def work_off(self) -> int:
        """Do what can be done now, in order; how much is left."""
        with self._turn:  # one at a time: nothing is done twice
            while self._work:
                work = self._work.popleft()
                if not self._done(work):
                    self._work.appendleft(work)
                    break
            return len(self._work)

    def _done(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except StoreError as error:
            log.warning("the store still refuses", extra={"error": str(error), "waiting": len(self._work)})
            return False
        except Exception:
            log.exception("a notification could not be made")
        return True

    def close(self) -> None:
        """Try once more, then give up what is left, and say so."""
        with self._lock:
            self._closing.set()
            thread = self._thread
        if thread is not None:
            thread.join(timeout=5)
        if left := self.work_off():
            log.error("notifications were lost: the store refused them to the end", extra={"lost": left})

    def _run(self) -> None:
        while not self._closing.wait(RETRY_SECONDS):
            with self._lock:
                if not self._work:
                    self._thread = None
                    return
            self.work_off()


def _forget_inherited() -> None:
    for backlog in list(_backlogs):
        backlog.forget_inherited()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)
