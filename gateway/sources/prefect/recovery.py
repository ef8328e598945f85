"""Recovery: state changes whose events the server has lost, out of what it says its runs went through.

A server that is killed loses the events it had not written yet; the states of the runs are there all the same. The id
of a state is that of its event, so what comes both ways is told once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from itertools import pairwise

from gateway.errors import PayloadError
from gateway.sources.prefect.api import Api, Json
from gateway.sources.prefect.gaps import RunKind
from gateway.sources.prefect.history import transitions_of
from gateway.sources.prefect.instants import instant
from gateway.sources.prefect.keeper import Keeper
from gateway.sources.prefect.known import FIRST
from gateway.sources.prefect.names import Names
from gateway.transition import Kind, Transition

log = logging.getLogger("gateway.prefect")

PAGE = 200
MOST_RUNS = 10_000
"""Runs of one kind that are looked through after a breakdown."""

AT_A_TIME = 4
"""Runs whose states are asked for at the same time."""

_UNDER_WAY = ["PENDING", "RUNNING", "PAUSED", "CANCELLING"]
_WAITING = ["Late", "AwaitingRetry", "AwaitingConcurrencySlot", "Resuming"]


class Recovery:
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
            states = await self._api.states(kind, str(run.get("id")))
            try:
                found = await told_by(kind, run, states, self._names, self._api.server.ui)
            except PayloadError as error:
                await self._keeper.keep_refused({"run": run, "states": states}, str(error))
                return
        await self._keeper.keep_transitions([one for one in found if one.occurred_at >= since], "history")
        for before, state in pairwise([{"id": FIRST}, *states]):
            self._keeper.known.add(str(state.get("id")), str(before.get("id")))

    async def _changed(self, kind: RunKind, since: datetime) -> AsyncIterator[list[Json]]:
        after = {"after_": since.isoformat()}
        state = {"operator": "or_", "type": {"any_": _UNDER_WAY}, "name": {"any_": _WAITING}}
        wanted = {"operator": "or_", "start_time": after, "end_time": after, "state": state}
        for offset in range(0, MOST_RUNS, PAGE):
            body = {f"{kind}s": wanted, "sort": "EXPECTED_START_TIME_ASC", "limit": PAGE, "offset": offset}
            found = await self._api.search(f"{kind}s", body)
            yield found
            if len(found) < PAGE:
                return
        log.warning("more runs than are looked through have changed", extra={"kind": kind, "looked_at": MOST_RUNS})


async def told_by(kind: RunKind, run: Json, states: Sequence[Json], names: Names, ui: str) -> list[Transition]:
    """The transitions by which ``run`` came into ``states``.

    Raises:
        PayloadError: the server's answers are not of the form they should have.
    """
    flow_run = run if kind == "flow_run" else await names.flow_run(run.get("flow_run_id")) or {}
    flow, deployment = await names.flow(flow_run.get("flow_id")), await names.deployment(flow_run.get("deployment_id"))
    what: Kind = "flow" if kind == "flow_run" else "task"
    found = transitions_of(what, run, states, flow=flow, flow_run=flow_run, ui=ui)
    if deployment is not None:
        for one in found:
            one.flow.labels["deployment"] = str(deployment.get("name"))
    return found
