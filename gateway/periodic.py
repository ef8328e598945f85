"""Periodic: a thread that does one thing every so often."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger("gateway")


class Periodic:
    """Calls ``work`` again and again, in a daemon thread of its own, until it is closed.

    Args:
        name: the thread's.
        work: what to do; its errors are logged and it is called again.
        every: seconds between two calls; asked again before each wait.
    """

    def __init__(self, name: str, work: Callable[[], object], every: Callable[[], float]) -> None:
        self._work, self._every = work, every
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_started(self) -> bool:
        """Whether it has begun."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Begin, with a call at once."""
        self._thread.start()

    def hurry(self) -> None:
        """Call now, and count the time from now on."""
        self._wake.set()

    def close(self, patience: float = 1.0) -> None:
        """Call no more. A call in progress is waited for, ``patience`` seconds at most. Safe to call twice."""
        self._closed = True
        self._wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(patience)

    def _run(self) -> None:
        while not self._closed:
            self._wake.clear()
            try:
                self._work()
            except Exception:
                log.exception("something that is done every so often failed", extra={"thread": self._thread.name})
            if not self._closed:
                self._wake.wait(self._every())
