"""Details: what events leave out and handlers read, asked of the API only where a handler that may match reads it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.compile import Ruleset
from gateway.errors import SourceError
from gateway.sources.enrichment import enriched
from gateway.sources.prefect.api import Api, Json
from gateway.sources.prefect.instants import instant
from gateway.sources.prefect.names import Cache
from gateway.sources.prefect.report import Report
from gateway.sources.prefect.waits import Waits
from gateway.transition import Obj, Transition

log = logging.getLogger("gateway.prefect")

PATIENCE_SECONDS = 30.0
"""A transition waits no longer for its details. It is told without them then."""

LOG_SECONDS = 3.0
"""The log of a run is asked for no earlier than this after the change: flows send their lines every two seconds."""

AT_A_TIME = 8
REMEMBERED_SECONDS = 15.0

_OF_RUN = ("parameters", "started_at", "max_retries")


class Details:
    """Fetches details.

    Args:
        api: whom to ask.
        ruleset: the configuration in force.
        report: counts what is told without.
    """

    def __init__(self, api: Api, ruleset: Callable[[], Ruleset], report: Report) -> None:
        self._api, self._ruleset, self._report = api, ruleset, report
        self._log_lines = api.server.written.log_lines
        self._cache = Cache(REMEMBERED_SECONDS)
        self._room = asyncio.Semaphore(AT_A_TIME)

    def begin(self, transition: Transition) -> asyncio.Future[Transition] | None:
        """Begin to fetch what the handlers that may match want to know; ``None`` if they want no more."""
        reads = self._ruleset().reads(transition)
        return asyncio.ensure_future(self._fetch(transition, reads)) if reads else None

    async def _fetch(self, transition: Transition, reads: frozenset[str]) -> Transition:
        """``transition`` with details; with as many as there are when they take too long."""
        found: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                for owner in ("flow", "task"):
                    wanted = {name.partition(".")[2] for name in reads if name.startswith(f"{owner}.")}
                    await self._persistently(owner, transition, wanted, found)
        except TimeoutError:
            self._report.undetailed += 1
            about = {"transition": transition.id, "lacks": sorted(reads - found.keys())}
            log.warning("a transition is told without details: the API did not give them in time", extra=about)
        except Exception:  # of an answer that nobody foresaw; the transition must be told
            self._report.undetailed += 1
            log.exception("a transition is told without details", extra={"transition": transition.id})
        return enriched(transition, found)

    async def _persistently(self, owner: str, transition: Transition, wanted: set[str], found: dict[str, Any]) -> None:
        waits = Waits(longest=5.0)
        while True:
            try:
                await self._ask(owner, transition, wanted, found)
                return
            except SourceError as error:
                log.info("details could not be fetched; they are asked for again", extra={"error": str(error)})
                await asyncio.sleep(waits.next())

    async def _ask(self, owner: str, transition: Transition, wanted: set[str], found: dict[str, Any]) -> None:
        obj = transition.flow if owner == "flow" else transition.task
        if obj is None or not obj.run_id:
            return
        if wanted.intersection(_OF_RUN):
            run = await self._run(owner, obj, transition.state.is_pending())
            found |= {f"{owner}.{field}": value for field, value in _fields(run).items() if field in wanted}
        if "log" in wanted and self._log_lines:
            found[f"{owner}.log"] = await self._log(owner, obj, transition.occurred_at)

    async def _run(self, owner: str, obj: Obj, is_pending: bool) -> Json:
        """The run, perhaps as it was a moment ago; one that has begun, as it was since."""
        kind = f"{owner}_runs"

        async def ask() -> Json | None:
            async with self._room:
                return await self._api.one(kind, obj.run_id)

        return await self._cache.get((kind, obj.run_id, is_pending), ask) or {}

    async def _log(self, owner: str, obj: Obj, changed_at: datetime) -> list[str]:
        early = LOG_SECONDS - (self._api.now() - changed_at) / timedelta(seconds=1)
        await asyncio.sleep(min(max(early, 0.0), LOG_SECONDS))
        body = {
            "logs": {f"{owner}_run_id": {"any_": [obj.run_id]}},
            "sort": "TIMESTAMP_DESC",
            "limit": self._log_lines,
        }
        async with self._room:
            found = await self._api.search("logs", body)
        return [_line(one) for one in reversed(found)]


def _fields(run: Json) -> dict[str, Any]:
    policy = run.get("empirical_policy") or {}
    return {
        "parameters": run.get("parameters"),
        "started_at": instant(run.get("start_time")),
        "max_retries": policy.get("retries") or policy.get("max_retries"),
    }


def _line(one: Json) -> str:
    """A line of a log as people know it: time in UTC, level, message."""
    at, level = instant(one.get("timestamp")), one.get("level")
    name = logging.getLevelName(level) if isinstance(level, int) else ""
    told = "" if at is None else f"{at.astimezone(UTC):%H:%M:%S}"
    return " ".join(part for part in (told, name, str(one.get("message"))) if part)
