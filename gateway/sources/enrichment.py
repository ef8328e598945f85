"""Enrichment: what a source fetched of a run, filled into a transition before it is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from gateway.transition import MAX_ITEMS, Obj, Transition, cut, plain, text_of


def enriched(transition: Transition, details: Mapping[str, Any]) -> Transition:
    """A copy of ``transition`` with ``details`` filled in.

    Args:
        transition: as the source told it.
        details: values by the names that :meth:`gateway.compile.Ruleset.reads` gives them: ``"flow.parameters"`` a
            mapping, ``"task.started_at"`` a time with its zone, ``"flow.log"`` lines, ``"flow.max_retries"`` a number.

    What the source told stays as it is. A value of another type than that counts as not fetched.
    """
    flow = _filled(transition.flow, "flow", details)
    if transition.task is None:
        obj = flow
    else:
        obj = replace(_filled(transition.task, "task", details), flow=None if transition.obj.flow is None else flow)
    return Transition.of(
        obj,
        transition.old_state,
        transition.state,
        id=transition.id,
        source=transition.source,
        occurred_at=transition.occurred_at,
    )


def _filled(run: Obj, owner: str, details: Mapping[str, Any]) -> Obj:
    parameters, started_at, log, retries = (
        details.get(f"{owner}.{field}") for field in ("parameters", "started_at", "log", "max_retries")
    )
    found: dict[str, Any] = {}
    if not run.parameters and isinstance(parameters, Mapping):
        found["parameters"] = plain(dict(parameters))
    if run.started_at is None and isinstance(started_at, datetime) and started_at.tzinfo is not None:
        found["started_at"] = started_at
    if not run.log and isinstance(log, (list, tuple)):
        found["log"] = _lines(log)
    if not run.max_retries and type(retries) is int and retries > 0:
        found["max_retries"] = retries
    return replace(run, **found)


def _lines(log: Iterable[Any]) -> tuple[str, ...]:
    """The last lines, as many and as much of each as is kept."""
    return tuple(cut(text_of(line)) for line in [*log][-MAX_ITEMS:])
