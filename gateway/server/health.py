"""Health: whether the process lives, and whether it can take transitions. Needs no token and tells no secret."""

from __future__ import annotations

import json
from collections.abc import Callable

from gateway.errors import StoreError
from gateway.server.answers import COME_AGAIN, Answer
from gateway.store.store import Store

ALIVE = Answer(200, b'{"status":"alive"}')


class Readiness:
    """Whether the gateway can take transitions now.

    Args:
        store: where they are kept.
        is_stopping: whether the server has been told to end.
    """

    def __init__(self, store: Store, is_stopping: Callable[[], bool]) -> None:
        self._store, self._is_stopping = store, is_stopping

    def answer(self) -> Answer:
        """200 if it can; 503 and why if not."""
        why_not = self.why_not()
        if why_not is None:
            return Answer(200, b'{"status":"ready"}')
        return Answer(503, json.dumps({"status": "not ready", "why": why_not}).encode(), headers=COME_AGAIN)

    def why_not(self) -> str | None:
        """In words; ``None`` when it is ready."""
        if self._is_stopping():
            return "stopping"
        try:
            writable = self._store.is_writable()
        except StoreError:
            return "the store is closed"
        return None if writable else "the store has taken nothing for some seconds"
