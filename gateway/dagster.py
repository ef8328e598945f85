"""Dagster: a sensor that tells a gateway of all runs of an instance, and of their steps, from the logs of the runs.

It belongs into a code location of its own, beside those with the jobs: none of them is changed. Dagster keeps how far
it has read, so what happens while the gateway or the daemon is away is told later.
"""

from __future__ import annotations

import json
import logging
import math
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
"""Entries read of one run's log at once."""

MOST_AT_ONCE = 5_000
"""Changes told in one evaluation: Dagster ends one that takes longer than a minute, and its cursor is lost."""

NOT_ENDED = [status for status in DagsterRunStatus if status.value not in ENDED]


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
    most_at_once: int = MOST_AT_ONCE,
) -> SensorDefinition:
    """A sensor that tells of everything that happens to runs of this instance, whatever code location they are of.

    Args:
        sink: what takes the transitions; a client as the environment says, unless given.
        name: the sensor's.
        ui: address of Dagster's web server, for links to runs.
        minimum_interval_seconds: how often Dagster's daemon evaluates it.
        default_status: whether it runs without somebody turning it on.
        most_at_once: changes told in one evaluation, about; the next goes on from there.

    At its first evaluation it tells nothing: what was before is past.
    """
    taking: Sink = Client() if sink is None else sink

    @sensor(name=name, minimum_interval_seconds=minimum_interval_seconds, default_status=default_status)
    def told(context: SensorEvaluationContext) -> SensorResult:
        if context.cursor is None:
            return _result("reads from now on", _now(context.instance))
        read = Read.parse(context.cursor)
        transitions = list(_news(context.instance, read, ui, most_at_once))
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
    for record in instance.get_run_records(RunsFilter(statuses=NOT_ENDED)):
        known = read.runs.setdefault(record.dagster_run.run_id, Known())
        for _ in _of_run(instance, record, known, ""):
            pass
    return read


def _news(instance: DagsterInstance, read: Read, ui: str, most: int) -> Iterator[Transition]:
    """What happened since, about ``most`` changes of it; ``read`` is brought up to date."""
    for run_id in _changed(instance, read):
        read.runs.setdefault(run_id, Known())
    told = 0
    for run_id, known in list(read.runs.items()):
        if told >= most:
            break
        record = instance.get_run_record_by_id(run_id)
        if record is not None:
            for transition in _of_run(instance, record, known, ui, most - told):
                told += 1
                yield transition
        if record is None or (known.status in ENDED and not known.has_more):  # deleted meanwhile, or at its end
            read.runs.pop(run_id)


def _changed(instance: DagsterInstance, read: Read) -> Iterator[str]:
    for type in RUN_TYPES:
        found = instance.fetch_run_status_changes(type, MOST_RUNS, cursor=read.changes.get(type.value), ascending=True)
        read.changes[type.value] = found.cursor
        yield from (record.event_log_entry.run_id for record in found.records)


def _of_run(
    instance: DagsterInstance, record: Any, known: Known, ui: str, most: float = math.inf
) -> Iterator[Transition]:
    """What the log of one run tells that was not read before, about ``most`` changes of it."""
    run = record.dagster_run
    started_at = datetime.fromtimestamp(record.start_time, UTC) if record.start_time else None
    limit, told = int(min(most, MOST_EVENTS)), 0
    known.has_more = True
    while known.has_more and told < most:
        found = instance.get_records_for_run(run.run_id, cursor=known.cursor, of_type=TYPES, limit=limit)
        known.cursor, known.has_more = found.cursor, found.has_more
        for one in found.records:
            try:
                transition = transition_of(one.event_log_entry, run, known, ui=ui, started_at=started_at)
            except Exception:  # one that nobody can read must not keep all others back
                log.exception("an entry of a run's log could not be told", extra={"run_id": run.run_id})
                continue
            if transition is not None:
                told += 1
                yield transition
