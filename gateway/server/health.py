"""Health: whether the process lives, and whether it can take transitions. Needs no token and tells no secret."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request

from gateway.errors import StoreError
from gateway.server.answers import COME_AGAIN, Answer
from gateway.server.models import NotReady
from gateway.store.store import Store

LONGEST_SILENCE = 10.0
"""Seconds without a heartbeat on the disk after which it is not sure that the store takes anything."""

_ALIVE = Answer(b'{"status":"alive"}')
_READY = Answer(b'{"status":"ready"}')


class Health:
    """Tells how a gateway is.

    Args:
        store: where its transitions are kept.
        is_stopping: whether the server has been told to end.
    """

    def __init__(self, store: Store, is_stopping: Callable[[], bool]) -> None:
        self._store, self._is_stopping = store, is_stopping

    async def alive(self, request: Request) -> Answer:
        """Always 200: whoever can say so lives."""
        return _ALIVE

    async def ready(self, request: Request) -> Answer:
        """200 if transitions can be taken; 503 and why if not."""
        why_not = self.why_not()
        if why_not is None:
            return _READY
        return Answer(NotReady(status="not ready", why=why_not).model_dump_json().encode(), 503, COME_AGAIN)

    def why_not(self) -> str | None:
        """Why no transitions can be taken now, in words; ``None`` when they can."""
        if self._is_stopping():
            return "stopping"
        try:
            if self._store.seconds_since_beat() > LONGEST_SILENCE:
                return "the store has taken nothing for some seconds"
            return "the disk of the store is full" if self._store.room().refuses else None
        except StoreError:
            return "the store is closed"
