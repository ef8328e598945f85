"""What is read of an OpenLineage event. All else is passed over, as the specification wants it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from gateway.errors import PayloadError
from gateway.sources.payload import Count, Instant, MapIndex, Name
from gateway.sources.reading import in_utc
from gateway.spelling import nearest

EVENT_TYPES = ("START", "RUNNING", "COMPLETE", "FAIL", "ABORT", "OTHER")

Filled = Annotated[Name, Field(min_length=1)]


class Part(BaseModel):
    """A part of an event. What it has must be of the type it should be, or null; what we do not know is passed over."""

    model_config = ConfigDict(extra="ignore", strict=True)


# facets of any producer


class ErrorMessage(Part):
    """What a failed run said."""

    message: str | None = None
    programmingLanguage: str | None = None  # noqa: N815 # the specification's spelling, here and below
    stackTrace: str | None = None  # noqa: N815


class NominalTime(Part):
    """What time the run is about: the start of a schedule's interval, not when it began."""

    nominalStartTime: str | None = None  # noqa: N815


class Tag(Part):
    """A label; producers whose labels have no value repeat the key."""

    key: Name
    value: str | None = None
    source: str | None = None


class Tags(Part):
    """Labels."""

    tags: list[Tag] | None = None


class Owner(Part):
    """A person or a team."""

    name: Name


class Ownership(Part):
    """Whose a job is."""

    owners: list[Owner] | None = None


class JobType(Part):
    """What kind of thing a job is, to whom."""

    integration: Name | None = None
    jobType: Name | None = None  # noqa: N815


class JobOfParent(Part):
    """The job of a parent."""

    namespace: Name = ""
    name: Filled


class RunOfParent(Part):
    """The run of a parent."""

    runId: Filled  # noqa: N815


class Parent(Part):
    """In which run a run takes place."""

    job: JobOfParent
    run: RunOfParent


# facets of Airflow


class DagRun(Part):
    """A run of a DAG."""

    dag_id: Filled
    run_id: Filled
    conf: dict[str, Any] | None = None
    start_date: Instant | None = None


class Task(Part):
    """A task of a DAG."""

    task_id: Filled
    retries: Count | None = None


class TaskInstance(Part):
    """One try of a task."""

    try_number: Count | None = None
    map_index: MapIndex | None = None
    log_url: Name | None = None


class AirflowTask(Part):
    """What Airflow tells of a task."""

    dagRun: DagRun  # noqa: N815
    task: Task
    taskInstance: TaskInstance = Field(default_factory=TaskInstance)  # noqa: N815


class AirflowDag(Part):
    """What Airflow tells of a run of a DAG."""

    dagRun: DagRun  # noqa: N815


class AirflowState(Part):
    """What has become of all tasks of a run that has ended, by their ids."""

    tasksState: dict[str, str | None] | None = None  # noqa: N815


# the event


class RunFacets(Part):
    """The facets of a run that we read."""

    parent: Parent | None = None
    errorMessage: ErrorMessage | None = None  # noqa: N815
    nominalTime: NominalTime | None = None  # noqa: N815
    tags: Tags | None = None
    airflow: AirflowTask | None = None
    airflowDagRun: AirflowDag | None = None  # noqa: N815
    airflowState: AirflowState | None = None  # noqa: N815


class JobFacets(Part):
    """The facets of a job that we read."""

    jobType: JobType | None = None  # noqa: N815
    ownership: Ownership | None = None
    tags: Tags | None = None


NO_RUN_FACETS, NO_JOB_FACETS = RunFacets(), JobFacets()


class Run(Part):
    """One run of a job."""

    runId: Filled  # noqa: N815
    facets: RunFacets | None = None


class Job(Part):
    """What is run."""

    namespace: Name = ""
    name: Filled
    facets: JobFacets | None = None


def _event_type(value: str) -> str:
    if value in EVENT_TYPES:
        return value
    hint = nearest(value.upper(), EVENT_TYPES)
    known = f"did you mean {hint!r}?" if hint else f"there are {', '.join(EVENT_TYPES)}"
    raise ValueError(f"there is no event type {value[:100]!r}, {known}")


EventType = Annotated[
    str, AfterValidator(_event_type), WithJsonSchema({"type": "string", "enum": [*EVENT_TYPES]}, mode="validation")
]


class LineageEvent(Part):
    """An event of OpenLineage: of a run, or of a job or dataset without one, which is not for us."""

    eventType: EventType | None = Field(default=None, description="what the run has come to")  # noqa: N815
    eventTime: Instant | None = Field(default=None, description="when; needed of a run")  # noqa: N815
    run: Run | None = None
    job: Job | None = Field(default=None, description="what is run; needed of a run")
    dataset: dict[str, Any] | None = None

    def of_run(self) -> RunEvent | None:
        """What it tells of a run; ``None`` if it is not about one.

        Raises:
            PayloadError: something is missing.
        """
        if self.run is None and (self.job is not None or self.dataset is not None):
            return None
        if self.run is None or self.job is None or self.eventTime is None:
            missing = [name for name in ("eventTime", "run", "job") if getattr(self, name) is None]
            raise PayloadError([f"{name}: is missing" for name in missing])
        return RunEvent(self.eventType, in_utc(self.eventTime), self.run, self.job)


@dataclass(frozen=True, slots=True)
class RunEvent:
    """A run has come into a state.

    Attributes:
        type: which; ``None`` and ``OTHER`` for none.
        at: when, in UTC.
        run, job: what runs.
    """

    type: str | None
    at: datetime
    run: Run
    job: Job

    @property
    def facets(self) -> RunFacets:
        """The facets of the run."""
        return self.run.facets or NO_RUN_FACETS

    @property
    def of_job(self) -> JobFacets:
        """The facets of the job."""
        return self.job.facets or NO_JOB_FACETS

    @property
    def integration(self) -> str:
        """Whose event it is, in capitals; empty when it does not say."""
        return ((self.of_job.jobType and self.of_job.jobType.integration) or "").upper()
