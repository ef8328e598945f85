"""Reports a flow of two tasks, one of which fails, as a client of OpenLineage does. Needs ``openlineage-python``.

The environment alone tells where the gateway listens: ``OPENLINEAGE_URL``, and ``OPENLINEAGE_API_KEY`` for a token.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.facet_v2 import error_message_run, parent_run
from openlineage.client.uuid import generate_new_uuid

NAMESPACE, FLOW = "example", "nightly"
client = OpenLineageClient()
flow_run = str(generate_new_uuid())
clock = datetime.now(UTC)


def tell(state: RunState, job: str, run: str, after: int = 0, **facets: object) -> None:
    """One event: ``run`` of ``job`` has come into ``state``, so many seconds later than the last one."""
    global clock
    clock += timedelta(seconds=after)
    client.emit(
        RunEvent(
            eventType=state,
            eventTime=clock.isoformat(),
            run=Run(runId=run, facets=facets),
            job=Job(namespace=NAMESPACE, name=job),
            producer="https://example.org/report",
        )
    )


def within_flow() -> parent_run.ParentRunFacet:
    """That a run takes place in the flow's."""
    job = parent_run.Job(namespace=NAMESPACE, name=FLOW)
    return parent_run.ParentRunFacet(run=parent_run.Run(runId=flow_run), job=job)


tell(RunState.START, FLOW, flow_run)
extract, load = str(generate_new_uuid()), str(generate_new_uuid())
tell(RunState.START, f"{FLOW}.extract", extract, parent=within_flow())
tell(RunState.COMPLETE, f"{FLOW}.extract", extract, after=75, parent=within_flow())
tell(RunState.START, f"{FLOW}.load", load, parent=within_flow())
error = error_message_run.ErrorMessageRunFacet(message="the table is gone", programmingLanguage="PYTHON")
tell(RunState.FAIL, f"{FLOW}.load", load, after=5, parent=within_flow(), errorMessage=error)
tell(RunState.FAIL, FLOW, flow_run, errorMessage=error)
