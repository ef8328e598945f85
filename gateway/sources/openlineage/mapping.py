"""Mapping: from an OpenLineage event to what happened. What Airflow tells in its own way is in :mod:`.airflow`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from gateway.errors import PayloadError
from gateway.sources.openlineage import airflow
from gateway.sources.openlineage.events import ErrorMessage, JobType, LineageEvent, Parent, RunEvent, Tag
from gateway.sources.payload import MOST_TAGS, NOT_JSON, complaints_of, items_of, written
from gateway.sources.reading import (
    ALL_BUT,
    Ignored,
    Misread,
    Reading,
    Reported,
    check_time,
    id_of,
    read_each,
)
from gateway.states import STATES, State
from gateway.transition import MAX_TEXT, Obj, Transition, cut

SOURCE = "openlineage"

TYPES: Mapping[str, str] = {
    "START": "Running",
    "RUNNING": "Running",
    "COMPLETE": "Success",
    "FAIL": "Failed",
    "ABORT": "Cancelled",
}
"""Event types and the states they tell of. ``OTHER`` adds something to what is known, and changes no state."""

FLOW_TYPES = frozenset({"DAG", "APPLICATION"})
"""Job types that are flows even within another run. Other jobs are flows on their own, and tasks within another run."""

CLIENT = "OPENLINEAGE_CLIENT"
"""The source of tags in which a client tells of itself."""

NO_JOB_TYPE = JobType()


def read_events(body: bytes, now: datetime) -> list[Reading]:
    """What the events of ``body`` turned out to be, in order: of one, or of each of an array.

    Raises:
        PayloadError: it is not JSON, or too many at once.
    """
    if body.lstrip(b" \t\r\n")[:1] == b"[":
        return read_each([written(item) for item in items_of(body)], lambda item: read_event(item, now))
    readings = read_each([body], lambda item: read_event(item, now))
    if isinstance(readings[0], Misread) and readings[0].complaints[0].startswith(NOT_JSON):
        raise PayloadError(readings[0].complaints)
    return readings


def read_event(text: bytes, now: datetime) -> tuple[Reported, ...] | Ignored:
    """What one event turned out to be.

    Raises:
        PayloadError: it is not JSON, or not as the specification has it.
    """
    try:
        event = LineageEvent.model_validate_json(text).of_run()
    except ValidationError as error:
        raise PayloadError(complaints_of(error)) from None
    if event is None:
        return Ignored("no_run")
    type = TYPES.get(event.type or "")
    if type is None:
        return Ignored("no_state")
    check_time("eventTime", event.at, now)
    transition = transition_of(event, type)
    return (*airflow.corrections(event, transition), Reported(transition, _follows(transition.state.type)))


def _follows(type: str) -> frozenset[str] | None:
    """What a state of ``type`` is a change from; one try that failed after another is, even if no start was told."""
    return None if type == "Retrying" else ALL_BUT[type]


def transition_of(event: RunEvent, type: str) -> Transition:
    """The transition into a state of ``type`` that ``event`` tells of; the state before is not told."""
    id = id_of(event.run.runId, event.type or "", event.at.isoformat())
    return Transition.of(_obj(event), None, _state(event, type), id=id, source=SOURCE, occurred_at=event.at)


# the state


def _state(event: RunEvent, type: str) -> State:
    fields: dict[str, Any] = {"name": event.type, "timestamp": event.at, "run_count": airflow.tries(event)}
    if type == "Failed":
        fields |= _error(event)
        if event.facets.airflow is not None:
            type, fields["final"] = ("Retrying", None) if airflow.is_retried(event) else ("Failed", True)
    return STATES[type](**fields)


def _error(event: RunEvent) -> dict[str, Any]:
    error = event.facets.errorMessage
    if error is None:
        return {}
    return {"message": airflow.named_failures(event, error.message or "") or None, "result": _result(error)}


def _result(error: ErrorMessage) -> dict[str, Any]:
    told = {
        "message": error.message,
        "traceback": error.stackTrace,
        "language": (error.programmingLanguage or "").lower(),
    }
    return {key: cut_start(value) for key, value in told.items() if value}


def cut_start(text: str) -> str:
    """``text``, or as much of its end as is kept: what an error is stands below its traceback."""
    return text if len(text) <= MAX_TEXT else "…" + text[-MAX_TEXT:]


# the task or flow


def _obj(event: RunEvent) -> Obj:
    parent = event.facets.parent
    is_flow = parent is None or (event.of_job.jobType or NO_JOB_TYPE).jobType in FLOW_TYPES
    tags, labels = _tags(event)
    obj = Obj(
        "flow" if is_flow else "task",
        event.job.name if is_flow or parent is None else _within(event.job.name, parent),
        event.run.runId,
        tags=tags,
        labels=labels | _labels(event),
        flow=None if is_flow or parent is None else Obj("flow", parent.job.name, parent.run.runId),
        started_at=event.at if event.type == "START" else None,
    )
    airflow.complete(obj, event)
    return obj


def _within(name: str, parent: Parent) -> str:
    """The name of a job without that of the job it runs in, which many producers put before it."""
    return name.removeprefix(f"{parent.job.name}.") or name


def _labels(event: RunEvent) -> dict[str, str]:
    owners = (event.of_job.ownership and event.of_job.ownership.owners) or []
    nominal = event.facets.nominalTime
    told = {
        "namespace": event.job.namespace,
        "integration": event.integration,
        "owner": ", ".join(owner.name for owner in owners[:MOST_TAGS]),
        "nominal_time": (nominal and nominal.nominalStartTime) or "",
    }
    return {key: value for key, value in told.items() if value}


def _tags(event: RunEvent) -> tuple[tuple[str, ...], dict[str, str]]:
    """The labels without a value, and those with one; what the client adds of itself is left out."""
    tags: dict[str, None] = {}
    labels: dict[str, str] = {}
    for one in _told_tags(event):
        if one.value in (None, "", one.key):
            tags[one.key] = None
        else:
            labels[one.key] = cut(one.value or "")
    return tuple(tags), labels


def _told_tags(event: RunEvent) -> Iterable[Tag]:
    both = [(facets.tags and facets.tags.tags) or [] for facets in (event.of_job, event.facets)]
    return [tag for tags in both for tag in tags[:MOST_TAGS] if tag.source != CLIENT]
