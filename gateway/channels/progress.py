"""Progress: which pieces of an unfinished message the service has taken, so that a retry sends only the rest."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from apprise.plugins.base import _delivery_tracker

MEMORY = 1000
"""Messages remembered at a time; beyond that the oldest is forgotten and would be sent again whole."""


class Progress:
    """Remembers, by idempotency key, what of a split message has arrived. It does not outlive the process."""

    def __init__(self) -> None:
        self._taken: OrderedDict[str, set[Any]] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def of(self, key: str) -> Iterator[None]:
        """For one attempt: apprise skips the pieces taken earlier and adds those taken now."""
        with self._lock:
            taken = self._taken.pop(key, set())
        token = _delivery_tracker.set(taken)
        try:
            yield
        finally:
            _delivery_tracker.reset(token)
            self._keep(key, taken)

    def _keep(self, key: str, taken: set[Any]) -> None:
        if not key or not taken:
            return
        with self._lock:
            self._taken[key] = taken
            if len(self._taken) > MEMORY:
                self._taken.popitem(last=False)

    def forget(self, key: str) -> None:
        """The message has arrived whole."""
        with self._lock:
            self._taken.pop(key, None)
