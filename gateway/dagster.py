"""Dagster: a sensor that tells a gateway of all runs of an instance, and of their steps, from the logs of the runs.

It belongs into a code location of its own, beside those with the jobs: none of them is changed. Dagster keeps how far
it has read, so what happens while the gateway or the daemon is away is told later.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from gateway.client import Client
from gateway.sources.dagster import ENDED, RUN_EVENTS, STEP_EVENTS, Known, transition_of
from gateway.transition import Transition

log = logging.getLogger("gateway.dagster")

TYPES = {type for type in DagsterEventType if type.value in RUN_EVENTS or type.value in STEP_EVENTS}
RUN_TYPES = [type for type in TYPES if type.value in RUN_EVENTS]

MOST_RUNS = 100
"""Changes of runs looked at in one evaluation, of each kind; the next goes on from there."""

MOST_EVENTS = 1_000
"""Entries read of one run's log in one evaluation."""

ACTIVE = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


class Sink(Protocol):
    """Takes transitions, and neither waits nor raises: a client, or a gateway in this process."""

    def take(self, transitions: Sequence[Transition]) -> object:
        """Hand them on."""


@dataclass(slots=True)
class Read:
    """How far the instance was read: for each kind of change of a run, and in the logs of runs that go on."""

    changes: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Known] = field(default_factory=dict)

    @classmethod
    def parse(cls, cursor: str) -> Read:
        """What a cursor says that :meth:`text` made."""
        read = json.loads(cursor)
        return cls(read["changes"], {id: Known(**known) for id, known in read["runs"].items()})

    def text(self) -> str:
        """As a cursor that Dagster keeps."""
        return json.dumps(asdict(self))


def gateway_sensor(
    sink: Sink | None = None,
    *,
    name: str = "gateway",
    ui: str = "",
    minimum_interval_seconds: int = 10,
    default_status: DefaultSensorStatus = DefaultSensorStatus.RUNNING,
) -> SensorDefinition:
    """A sensor that tells of everything that happens to runs of this instance, whatever code location they are of.

    Args:
        sink: what takes the transitions; a client as the environment says, unless given.
        name: the sensor's.
        ui: address of Dagster's web server, for links to runs.
        minimum_interval_seconds: how often Dagster's daemon evaluates it.
        default_status: whether it runs without somebody turning it on.

    At its first evaluation it tells nothing: what was before is past.
    """
    taking: Sink = Client() if sink is None else sink

    @sensor(name=name, minimum_interval_seconds=minimum_interval_seconds, default_status=default_status)
    def told(context: SensorEvaluationContext) -> SensorResult:
        if context.cursor is None:
            return _result("reads from now on", _now(context.instance))
        read = Read.parse(context.cursor)
        transitions = list(_news(context.instance, read, ui))
        taking.take(transitions)
        return _result(f"told of {len(transitions)} changes", read)

    return told


def _result(said: str, read: Read) -> SensorResult:
    return SensorResult(skip_reason=SkipReason(said), cursor=read.text())


def _now(instance: DagsterInstance) -> Read:
    """The state of affairs: the last change of each kind, and the ends of the logs of runs that are at work."""
    read = Read()
    for type in RUN_TYPES:
        read.changes[type.value] = instance.fetch_run_status_changes(type, limit=1).cursor
    for record in instance.get_run_records(RunsFilter(statuses=ACTIVE)):
        for _ in _of_run(instance, record, read, ""):
            pass
    return read


def _news(instance: DagsterInstance, read: Read, ui: str) -> Iterator[Transition]:
    """What happened since; ``read`` is brought up to date."""
    touched = dict.fromkeys([*_changed(instance, read), *read.runs])
    for run_id in touched:
        record = instance.get_run_record_by_id(run_id)
        if record is None:  # deleted meanwhile
            read.runs.pop(run_id, None)
        else:
            yield from _of_run(instance, record, read, ui)


def _changed(instance: DagsterInstance, read: Read) -> Iterator[str]:
    for type in RUN_TYPES:
        found = instance.fetch_run_status_changes(type, MOST_RUNS, cursor=read.changes.get(type.value), ascending=True)
        read.changes[type.value] = found.cursor
        yield from (record.event_log_entry.run_id for record in found.records)


def _of_run(instance: DagsterInstance, record: Any, read: Read, ui: str) -> Iterator[Transition]:
    """What the log of one run tells that was not read before."""
    run = record.dagster_run
    known = read.runs.setdefault(run.run_id, Known())
    started_at = datetime.fromtimestamp(record.start_time, UTC) if record.start_time else None
    more = True
    while more:
        found = instance.get_records_for_run(run.run_id, cursor=known.cursor, of_type=TYPES, limit=MOST_EVENTS)
        known.cursor, more = found.cursor, found.has_more
        for one in found.records:
            try:
                transition = transition_of(one.event_log_entry, run, known, ui=ui, started_at=started_at)
            except Exception:  # one that nobody can read must not keep all others back
                log.exception("an entry of a run's log could not be told", extra={"run_id": run.run_id})
                continue
            if transition is not None:
                yield transition
    if known.status in ENDED:
        read.runs.pop(run.run_id)
