"""Airflow: what its OpenLineage events tell otherwise than they seem to.

- Every try of a task is a run of its own there; here all tries are one, named by DAG, run, task and map index.
- A task that will be tried again fails like any other: its count of tries tells, and the error, since some are final.
- A task that is skipped completes like any other, and what the scheduler skips, or fails because of what is upstream,
  has no event at all. The last event of a DAG's run has the states of all its tasks, and puts that right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gateway.sources.openlineage.events import DagRun, RunEvent
from gateway.sources.reading import UNKNOWN, Reported, id_of
from gateway.states import STATES, State
from gateway.transition import Obj, Transition

FINAL_ERRORS = ("AirflowFailException", "AirflowSensorTimeout", "AirflowTaskTerminated")
"""Exceptions after which Airflow makes no further try."""

_LAST_ERROR = re.compile(r"^[\w.]*?(\w+)(?::|$)")

CORRECTED: Mapping[str, tuple[str, frozenset[str]]] = {
    "skipped": ("Skipped", frozenset({UNKNOWN, "Running", "Retrying", "Success"})),
    "upstream_failed": ("TriggerFailed", frozenset({UNKNOWN, "Running", "Retrying"})),
    "failed": ("Failed", frozenset({"Running", "Retrying"})),
}
"""States of tasks that their own events do not tell, or not surely: ours, and the last ones known that they correct."""

ENDED = ("COMPLETE", "FAIL", "ABORT")

MOST_NAMED = 10


def tries(event: RunEvent) -> int:
    """How many tries were made of a task, this one included; 0 when that is not told."""
    task = event.facets.airflow
    return (task.taskInstance.try_number or 0) if task else 0


def is_retried(event: RunEvent) -> bool:
    """Whether a failed task will be tried again."""
    task = event.facets.airflow
    if task is None or not 0 < tries(event) <= (task.task.retries or 0):
        return False
    error = event.facets.errorMessage
    lines = ((error and error.stackTrace) or "").strip().splitlines()
    return not any(found[1] in FINAL_ERRORS for line in lines if (found := _LAST_ERROR.match(line)))


def complete(obj: Obj, event: RunEvent) -> None:
    """Give ``obj`` what Airflow tells of it; of any other engine, nothing."""
    if (task := event.facets.airflow) is not None and obj.kind == "task":
        dag = obj.flow = obj.flow or Obj("flow", task.dagRun.dag_id)
        run = _complete_dag(dag, event, task.dagRun)
        dag.tags, dag.labels = obj.tags, _of_flow(obj.labels)
        obj.name, obj.map_index = task.task.task_id, task.taskInstance.map_index
        obj.run_id = _task_run(run, obj.name, obj.map_index)
        obj.max_retries, obj.url = task.task.retries or 0, task.taskInstance.log_url or ""
    elif (dag_of := event.facets.airflowDagRun) is not None and obj.kind == "flow":
        _complete_dag(obj, event, dag_of.dagRun)


def _complete_dag(dag: Obj, event: RunEvent, run: DagRun) -> str:
    dag.run_id, dag.run_name = f"{_realm(event)}{run.dag_id}/{run.run_id}", run.run_id
    dag.parameters, dag.started_at = run.conf or {}, run.start_date or dag.started_at
    return dag.run_id


def _realm(event: RunEvent) -> str:
    """What tells the Airflows of several teams apart; nothing for one that was given no name."""
    return "" if event.job.namespace in ("", "default") else f"{event.job.namespace}/"


def _task_run(dag_run: str, task: str, map_index: int | None) -> str:
    return f"{dag_run}/{task}" if map_index is None else f"{dag_run}/{task}/{map_index}"


def _of_flow(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key != "owner"}


def _states(event: RunEvent) -> Mapping[str, str | None]:
    """The states of the tasks of a run that has ended; nothing for any other event."""
    state = event.facets.airflowState
    is_told = state is not None and event.facets.airflowDagRun is not None and event.type in ENDED
    return (state and state.tasksState) or {} if is_told else {}


def named_failures(event: RunEvent, message: str) -> str:
    """``message``, and of a DAG the tasks that failed: it says no more than that some did."""
    failed = [task for task, state in _states(event).items() if state == "failed"]
    if not failed:
        return message
    more = f" and {len(failed) - MOST_NAMED} more" if len(failed) > MOST_NAMED else ""
    return f"{message or 'failed'}: {', '.join(failed[:MOST_NAMED])}{more}"


def corrections(event: RunEvent, dag: Transition) -> Iterator[Reported]:
    """What the last event of a DAG's run, which is ``dag``, tells of its tasks that their own events did not."""
    for task, word in _states(event).items():
        if word in CORRECTED and word is not None:
            type, follows = CORRECTED[word]
            yield Reported(_correction(event, dag, task, STATES[type](name=word, timestamp=dag.occurred_at)), follows)


def _correction(event: RunEvent, dag: Transition, task: str, state: State) -> Transition:
    obj = Obj("task", task, _task_run(dag.obj.run_id, task, None), tags=dag.obj.tags, labels=_of_flow(dag.obj.labels))
    obj.flow = dag.obj
    if state.type == "Failed":
        state.final = True
    id = id_of(dag.id, task)
    return Transition.of(obj, None, state, id=id, source=dag.source, occurred_at=dag.occurred_at)
