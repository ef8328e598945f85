"""Names: of flows, deployments and flow runs by their ids, asked once and remembered for a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.sources.prefect.api import Api, Json

MOST = 2_000
REMEMBERED_SECONDS = 300.0


class Cache:
    """The answers to the latest questions.

    Args:
        seconds: how long an answer is used.
        most: how many are kept.
        monotonic: tells the time.
    """

    def __init__(
        self, seconds: float = REMEMBERED_SECONDS, most: int = MOST, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds, self._most, self._monotonic = seconds, most, monotonic
        self._answers: OrderedDict[Any, tuple[float, Any]] = OrderedDict()

    async def get(self, key: Any, ask: Callable[[], Awaitable[Any]]) -> Any:
        """The answer to ``key``: that of a moment ago, or what ``ask`` gives now."""
        found = self._answers.get(key)
        if found is not None and self._monotonic() - found[0] < self._seconds:
            return found[1]
        answer = await ask()
        self._answers[key] = self._monotonic(), answer
        self._answers.move_to_end(key)
        if len(self._answers) > self._most:
            self._answers.popitem(last=False)
        return answer


class Names:
    """Asks for what stands behind an id."""

    def __init__(self, api: Api) -> None:
        self._api, self._cache = api, Cache()

    async def _one(self, kind: str, id: Any) -> Json | None:
        if not isinstance(id, str):
            return None
        found: Json | None = await self._cache.get((kind, id), lambda: self._api.one(kind, id))
        return found

    async def flow_run(self, id: Any) -> Json | None:
        """The flow run of that id, perhaps as it was a few minutes ago."""
        return await self._one("flow_runs", id)

    async def flow(self, id: Any) -> Json | None:
        """The flow of that id."""
        return await self._one("flows", id)

    async def deployment(self, id: Any) -> Json | None:
        """The deployment of that id."""
        return await self._one("deployments", id)
