"""Vigil: flow runs that run, when each was last heard of, and which of them are lost.

Prefect 3 notices that a process died only where a worker started it. Anywhere else its run stays running for ever.
The engine of a flow run sends a heartbeat when it begins and every few minutes from then on (three, unless
``PREFECT_FLOWS_HEARTBEAT_FREQUENCY`` says otherwise): one whose heartbeats end is lost. One that never sent any, since
they are switched off or its Prefect is older, cannot be told from one at work, and is never lost.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from gateway.config.duration import format_roughly
from gateway.errors import PayloadError
from gateway.sources.prefect.api import Api, Json
from gateway.sources.prefect.filters import heartbeats
from gateway.sources.prefect.instants import instant, occurred_at
from gateway.sources.prefect.names import Names
from gateway.sources.prefect.recovery import told_by
from gateway.states import Lost
from gateway.transition import Transition

log = logging.getLogger("gateway.prefect")

MOST_RUNS = 20_000
"""Runs that are watched; of more, the latest are."""

LONGEST_LOOK = timedelta(days=7)
"""How far back a run's last heartbeat is looked for: longer, servers do not keep them."""

MISSED = 2.5
"""So many of a run's own intervals between heartbeats must have passed as well."""

_RUNNING = {"state": {"type": {"any_": ["RUNNING"]}}}


@dataclass(frozen=True, slots=True)
class _Run:
    """A flow run at work: when it was last heard of, and when to ask the server about it at the earliest."""

    heard_at: datetime
    ask_at: datetime


class Vigil:
    """Watches over flow runs.

    Args:
        lost_after: how long a run may be silent; zero: for ever.
    """

    def __init__(self, lost_after: timedelta) -> None:
        self._lost_after = lost_after
        self._runs: OrderedDict[str, _Run] = OrderedDict()

    def __len__(self) -> int:
        return len(self._runs)

    def heard(self, run_id: str, at: datetime) -> None:
        """There is word of a flow run that is watched. Of one that has ended, heartbeats can still come."""
        known = self._runs.get(run_id)
        if known is not None and at > known.heard_at:
            self._runs[run_id] = _Run(at, at + self._lost_after)

    def saw(self, transition: Transition) -> None:
        """A run came into a state."""
        if transition.kind == "task":
            self.heard(transition.flow.run_id, transition.occurred_at)
        elif transition.state.is_running():
            self.watch(transition.obj.run_id, transition.occurred_at)
        else:
            self._runs.pop(transition.obj.run_id, None)

    def watch(self, run_id: str, since: datetime) -> None:
        """Watch over a flow run that is at work since then."""
        if not self._lost_after or not run_id:
            return
        known = self._runs.get(run_id)
        if known is None or since > known.heard_at:
            self._runs[run_id] = _Run(since, since + self._lost_after)
        if len(self._runs) > MOST_RUNS:
            self._runs.popitem(last=False)

    def put_off(self, until: datetime) -> None:
        """Take nobody for lost before then: the server was away, and nothing could be heard."""
        for run_id, run in self._runs.items():
            self._runs[run_id] = replace(run, ask_at=max(run.ask_at, until))

    def silent(self, now: datetime) -> list[tuple[str, datetime]]:
        """Runs that may be lost, each with when it was last heard of."""
        return [(run_id, run.heard_at) for run_id, run in self._runs.items() if run.ask_at <= now]

    def ask_later(self, run_id: str, heard_at: datetime, ask_at: datetime) -> None:
        """The run is known to be alive, or cannot be judged."""
        if run_id in self._runs:
            self._runs[run_id] = _Run(heard_at, ask_at)

    def forget(self, run_id: str) -> None:
        """Watch over it no more."""
        self._runs.pop(run_id, None)


class Search:
    """Asks the server about runs that are silent.

    Args:
        api: whom to ask.
        vigil: which they are.
        names: of flows and deployments.
        lost_after: how long a run may be silent.
    """

    def __init__(self, api: Api, vigil: Vigil, names: Names, lost_after: timedelta) -> None:
        self._api, self._vigil, self._names, self._lost_after = api, vigil, names, lost_after

    async def seed(self) -> None:
        """Watch over all that is running now."""
        for offset in range(0, MOST_RUNS, 200):
            body = {"flow_runs": _RUNNING, "limit": 200, "offset": offset, "sort": "EXPECTED_START_TIME_DESC"}
            found = await self._api.search("flow_runs", body)
            for run in found:
                since = instant((run.get("state") or {}).get("timestamp"))
                if since is not None:
                    self._vigil.watch(str(run.get("id")), since)
            if len(found) < 200:
                return

    async def lost(self, now: datetime, since: datetime) -> list[Transition]:
        """The transitions of those that are lost; of none that was lost before ``since``, which is too old to tell."""
        judged = [await self._judge(run_id, heard_at, now) for run_id, heard_at in self._vigil.silent(now)]
        found = [one for one in judged if one is not None]
        fresh = [one for one in found if one.occurred_at >= since]
        if len(fresh) < len(found):
            log.info("runs that were lost long ago are not told", extra={"runs": len(found) - len(fresh)})
        return fresh

    async def _judge(self, run_id: str, heard_at: datetime, now: datetime) -> Transition | None:
        run = await self._api.one("flow_runs", run_id)
        if run is None or run.get("state_type") != "RUNNING":
            self._vigil.forget(run_id)
            return None
        beats = await self._heartbeats(run_id, now)
        if not beats:
            self._vigil.ask_later(run_id, heard_at, now + self._lost_after)
            return None
        allowed = max(self._lost_after, MISSED * (beats[0] - beats[-1]))
        heard_at = max(heard_at, beats[0])
        if now < heard_at + allowed:
            self._vigil.ask_later(run_id, heard_at, heard_at + allowed)
            return None
        self._vigil.forget(run_id)
        return await self._transition(run, heard_at, heard_at + allowed)

    async def _heartbeats(self, run_id: str, now: datetime) -> list[datetime]:
        """When the last two were sent, the last one first."""
        page = await self._api.events(heartbeats(run_id, now - LONGEST_LOOK), 2)
        return [at for event in page.events if (at := occurred_at(event)) is not None]

    async def _transition(self, run: Json, heard_at: datetime, lost_at: datetime) -> Transition | None:
        states = await self._api.states("flow_run", str(run.get("id")))
        try:
            found = await told_by("flow_run", run, states, self._names, self._api.server.ui)
        except PayloadError as error:
            log.warning("a run that is lost cannot be understood", extra={"run": run.get("id"), "error": str(error)})
            return None
        return lost(found[-1], heard_at, lost_at) if found else None


def lost(running: Transition, heard_at: datetime, lost_at: datetime) -> Transition:
    """The transition by which a run is lost that ``running`` told to be at work.

    Its id follows from that of the running state: whoever finds out, and however often, it is told once.
    """
    silence = format_roughly(lost_at - heard_at)
    message = (
        f"Running since {running.occurred_at:%Y-%m-%d %H:%M:%S} UTC, and not heard of "
        f"since {heard_at:%Y-%m-%d %H:%M:%S} UTC, for {silence}: its process is gone, or cannot reach the server"
    )
    state = Lost(message, run_count=running.state.run_count, timestamp=lost_at, final=True)
    id = str(uuid5(_namespace(running.id), "lost"))
    return Transition.of(running.obj, running.state, state, id=id, source=running.source, occurred_at=lost_at)


def _namespace(id: str) -> UUID:
    try:
        return UUID(id)
    except ValueError:
        return uuid5(UUID(int=0), id)
