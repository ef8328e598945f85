"""Dagster: its words for states, and the events of a run's log, as ours.

Needs neither Dagster nor more than the standard library. A run's log has all that happened to it, in order, with the
state before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.states import STATES, Running, State
from gateway.transition import Obj, Transition, cut

SOURCE = "dagster"

RUN_STATES: Mapping[str, str] = {
    "QUEUED": "Queued",
    "NOT_STARTED": "Submitted",
    "MANAGED": "Submitted",
    "STARTING": "Submitted",
    "STARTED": "Running",
    "SUSPENDED": "Paused",
    "SUCCESS": "Success",
    "FAILURE": "Failed",
    "CANCELING": "Cancelling",
    "CANCELED": "Cancelled",
}
"""``DagsterRunStatus``, as of Dagster 1.13."""

RUN_EVENTS: Mapping[str, str] = {
    "PIPELINE_ENQUEUED": "QUEUED",
    "PIPELINE_STARTING": "STARTING",
    "PIPELINE_START": "STARTED",
    "RUN_SUSPENDED": "SUSPENDED",
    "RUN_RESUMED": "STARTED",
    "PIPELINE_SUCCESS": "SUCCESS",
    "PIPELINE_FAILURE": "FAILURE",
    "PIPELINE_CANCELING": "CANCELING",
    "PIPELINE_CANCELED": "CANCELED",
}
"""What an event of a run says of its status."""

STEP_EVENTS: Mapping[str, str] = {
    "STEP_START": "Running",
    "STEP_RESTARTED": "Running",
    "STEP_UP_FOR_RETRY": "Retrying",
    "STEP_SUCCESS": "Success",
    "STEP_FAILURE": "Failed",
    "STEP_SKIPPED": "Skipped",
}
"""What an event of a step says of its state."""

ENDED = ("SUCCESS", "FAILURE", "CANCELED")
"""Statuses of runs that have come to their end."""


@dataclass(slots=True)
class Known:
    """What is known of a run from the part of its log that was read.

    Attributes:
        cursor: how far it was read; Dagster's own word.
        status: its last status; ``""`` before the first.
        retried: of steps that were tried more than once, how many attempts had failed.
        has_more: whether there was more than was read.
    """

    cursor: str | None = None
    status: str = ""
    retried: dict[str, int] = field(default_factory=dict)
    has_more: bool = False


def transition_of(
    entry: Any, run: Any, known: Known, *, ui: str = "", started_at: datetime | None = None
) -> Transition | None:
    """What an entry of a run's log tells, and ``known`` brought up to date; ``None`` if it is no change of state.

    Args:
        entry: the entry, Dagster's ``EventLogEntry``.
        run: its run, a ``DagsterRun``.
        known: what came before.
        ui: address of Dagster's web server, for links.
        started_at: when the run began to work.
    """
    event = entry.dagster_event
    if event is None:
        return None
    flow = _flow(run, ui, started_at)
    if event.event_type_value in RUN_EVENTS:
        return _of_run(entry, event, flow, known)
    if event.event_type_value in STEP_EVENTS and event.step_key:
        return _of_step(entry, event, flow, known)
    return None


def _of_run(entry: Any, event: Any, flow: Obj, known: Known) -> Transition:
    status, before = RUN_EVENTS[event.event_type_value], known.status
    known.status = status
    new = _state(entry, event, RUN_STATES[status], status)
    old = STATES[RUN_STATES[before]](name=before) if before else None
    return _transition(entry, event, flow, old, new)


def _of_step(entry: Any, event: Any, flow: Obj, known: Known) -> Transition:
    word, failed = event.event_type_value, known.retried.get(event.step_key, 0)
    new = _state(entry, event, STEP_EVENTS[word], word, failed + 1)
    if word == "STEP_UP_FOR_RETRY":
        known.retried[event.step_key] = failed + 1
    return _transition(entry, event, _step(event.step_key, flow), _before(word, failed), new)


def _before(word: str, failed: int) -> State | None:
    match word:
        case "STEP_START" | "STEP_SKIPPED":
            return None
        case "STEP_RESTARTED":
            return STATES["Retrying"](name="STEP_UP_FOR_RETRY", run_count=failed)
    return Running(name="STEP_START", run_count=failed + 1)


def _transition(entry: Any, event: Any, obj: Obj, old: State | None, new: State) -> Transition:
    id = f"{SOURCE}/{entry.run_id}/{event.step_key or ''}/{event.event_type_value}/{entry.timestamp:.6f}"
    return Transition.of(obj, old, new, id=id[-200:], source=SOURCE, occurred_at=new.timestamp)


def _state(entry: Any, event: Any, type: str, name: str, run_count: int = 0) -> State:
    at = datetime.fromtimestamp(entry.timestamp, UTC)
    data = event.event_specific_data
    error = _cause(getattr(data, "error", None))
    result = None if error is None else _told(error)
    message = result["message"] if result and event.step_key else event.message
    wait = getattr(data, "seconds_to_wait", None)
    fields: dict[str, Any] = {"name": name, "timestamp": at, "run_count": run_count}
    if type == "Retrying":
        fields["start_time"] = at + timedelta(seconds=wait or 0)
    state = STATES[type](message or None, result, **fields)
    if state.is_finished():
        state.final = True
    return state


def _cause(error: Any) -> Any:
    """The error of the user's own code: Dagster wraps it, once or more."""
    while error is not None and error.cause is not None:
        error = error.cause
    return error


def _told(error: Any) -> dict[str, Any]:
    """An error as plain data, as an exception is told."""
    message = error.message.strip()
    kind = error.cls_name or ""
    lines = "".join(["Traceback (most recent call last):\n", *error.stack, message])
    return {"type": kind, "message": cut(message.removeprefix(f"{kind}: ")), "traceback": cut(lines)}


def _flow(run: Any, ui: str, started_at: datetime | None) -> Obj:
    return Obj(
        "flow",
        run.job_name,
        run_id=run.run_id,
        run_name=run.run_id[:8],
        parameters=dict(run.run_config) if isinstance(run.run_config, Mapping) else {},
        labels={key: str(value) for key, value in run.tags.items() if not key.startswith(".dagster/")},
        url=f"{ui.rstrip('/')}/runs/{run.run_id}" if ui else "",
        started_at=started_at,
    )


def _step(key: str, flow: Obj) -> Obj:
    name, _, child = key.removesuffix("]").partition("[")
    return Obj(
        "task",
        name,
        run_id=f"{flow.run_id}/{key}",
        run_name=key,
        parameters=flow.parameters,
        labels=flow.labels,
        flow=flow,
        map_index=int(child) if child.isdecimal() and len(child) < 10 else None,
        url=flow.url,
    )
