"""History: what a server says its runs went through, for when it has lost the events that told of it.

A server that is killed loses the events it had not written yet; the states of the runs are there all the same. The id of
a state is that of its event, so what comes both ways is told once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from typing import Any, Literal

from gateway.sources.prefect.api import Api, Json
from gateway.sources.prefect.keeper import Keeper
from gateway.sources.prefect.names import Names
from gateway.sources.prefect.paging import instant

log = logging.getLogger("gateway.prefect")

RunKind = Literal["flow_run", "task_run"]

PAGE = 200
MOST_RUNS = 10_000
"""Runs of one kind that are looked through after a breakdown."""

AT_A_TIME = 4
"""Runs whose states are asked for at the same time."""

_UNDER_WAY = ["PENDING", "RUNNING", "PAUSED", "CANCELLING"]
_WAITING = ["Late", "AwaitingRetry", "AwaitingConcurrencySlot", "Resuming"]


class History:
    """Looks for state changes that no event told of.

    Args:
        api: whom to ask.
        keeper: keeps what was found, if it is not known.
        names: of flows and deployments.
    """

    def __init__(self, api: Api, keeper: Keeper, names: Names) -> None:
        self._api, self._keeper, self._names = api, keeper, names
        self._room = asyncio.Semaphore(AT_A_TIME)

    async def look(self, since: datetime) -> None:
        """Look at all runs that may have changed their state since then."""
        for kind in ("flow_run", "task_run"):
            async for runs in self._changed(kind, since):
                await asyncio.gather(*(self._look_at(kind, run, since) for run in runs if self._lacks(run, since)))

    async def look_at(self, kind: RunKind, run_id: str, since: datetime) -> None:
        """Look at one run."""
        run = await self._api.one(f"{kind}s", run_id)
        if run is not None:
            await self._look_at(kind, run, since)

    def _lacks(self, run: Json, since: datetime) -> bool:
        """Whether ``run`` changed since then, and something of what it went through may not be known."""
        changed = instant((run.get("state") or {}).get("timestamp"))
        return changed is not None and changed >= since and not self._keeper.known.is_whole(str(run.get("state_id")))

    async def _look_at(self, kind: RunKind, run: Json, since: datetime) -> None:
        async with self._room:
            states = await self._api.states(kind, run["id"])
            events = list(events_of(kind, run, states, await self._related(kind, run)))
        fresh = [one for one in events if (at := instant(one["occurred"])) is not None and at >= since]
        await self._keeper.keep(fresh, "history")

    async def _changed(self, kind: RunKind, since: datetime) -> AsyncIterator[list[Json]]:
        after = {"after_": since.isoformat()}
        state = {"operator": "or_", "type": {"any_": _UNDER_WAY}, "name": {"any_": _WAITING}}
        wanted = {"operator": "or_", "start_time": after, "end_time": after, "state": state}
        for offset in range(0, MOST_RUNS, PAGE):
            body = {f"{kind}s": wanted, "sort": "EXPECTED_START_TIME_ASC", "limit": PAGE, "offset": offset}
            found = await self._api.list(f"{kind}s", body)
            yield found
            if len(found) < PAGE:
                return
        log.warning("more runs than are looked through have changed", extra={"kind": kind, "looked_at": MOST_RUNS})

    async def _related(self, kind: RunKind, run: Json) -> list[Json]:
        if kind == "flow_run":
            return await self._names.related(run)
        flow_run = await self._names.flow_run(run.get("flow_run_id"))
        if flow_run is None:
            return []
        own = _resource("flow-run", flow_run["id"], flow_run.get("name"))
        return [own, *await self._names.related(flow_run)]


def events_of(kind: RunKind, run: Json, states: Sequence[Json], related: Sequence[Json]) -> Iterator[Json]:
    """The events by which the server told, or would have told, that ``run`` came into ``states``."""
    before: Json | None = None
    attempts = 0
    for state in states:
        attempts += state.get("type") == "RUNNING"
        yield _event(kind, run, before, state, attempts, related)
        before = state


def _event(
    kind: RunKind, run: Json, before: Json | None, state: Json, attempts: int, related: Sequence[Json]
) -> Json:
    word = kind.replace("_", "-")
    payload: Json = {"initial_state": before, "validated_state": state}
    if kind == "task_run":
        payload["task_run"] = {**run, "run_count": attempts}
    return {
        "id": state.get("id"),
        "occurred": state.get("timestamp"),
        "event": f"prefect.{word}.{state.get('name')}",
        "follows": None if before is None else before.get("id"),
        "resource": {
            "prefect.resource.id": f"prefect.{word}.{run.get('id')}",
            "prefect.resource.name": run.get("name"),
            "prefect.run-count": str(attempts),
            "prefect.state-type": state.get("type"),
            "prefect.state-timestamp": state.get("timestamp"),
        },
        "related": [*related, *(_resource("tag", tag) for tag in run.get("tags") or [])],
        "payload": payload,
    }


def _resource(role: str, id: Any, name: Any = None) -> Json:
    resource = {"prefect.resource.id": f"prefect.{role}.{id}", "prefect.resource.role": role}
    return resource | ({} if name is None else {"prefect.resource.name": name})
