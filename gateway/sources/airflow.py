"""Airflow 3: its words for states as ours, and its runs as ours, by whatever way they come. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.states import STATES, State

SOURCE = "airflow"

TASK_STATES: Mapping[str, str] = {
    "scheduled": "Scheduled",
    "queued": "Submitted",
    "running": "Running",
    "deferred": "Paused",
    "awaiting_input": "Paused",
    "up_for_reschedule": "Scheduled",
    "up_for_retry": "Retrying",
    "restarting": "Cancelling",
    "success": "Success",
    "skipped": "Skipped",
    "failed": "Failed",
    "upstream_failed": "TriggerFailed",
    "removed": "Cancelled",
}
"""``TaskInstanceState``, as of Airflow 3.3."""

RUN_STATES: Mapping[str, str] = {"queued": "Queued", "running": "Running", "success": "Success", "failed": "Failed"}
"""``DagRunState``, as of Airflow 3.3."""

TIMED_OUT_ERRORS = ("AirflowTaskTimeout", "AirflowSensorTimeout")
"""Exceptions that say that a task took too long."""

TIMED_OUT_RUN = "timed_out"
"""What the scheduler says of a DAG's run that took too long."""


def state_class(word: str, states: Mapping[str, str], *, timed_out: bool = False) -> type[State]:
    """The state that Airflow's ``word`` is; a word of a later Airflow is a state of no kind we know.

    Args:
        word: the value of a member of ``TaskInstanceState`` or ``DagRunState``.
        states: :data:`TASK_STATES` or :data:`RUN_STATES`.
        timed_out: whether a failure came of too long a time.
    """
    known = states.get(word, "State")
    return STATES["TimedOut" if timed_out and known == "Failed" else known]


def state_of(
    word: str,
    states: Mapping[str, str],
    message: str = "",
    result: object = None,
    *,
    timed_out: bool = False,
    run_count: int = 0,
    start_time: datetime | None = None,
) -> State:
    """The state that Airflow's ``word`` is, with that for its name. What failed for good is final."""
    made = state_class(word, states, timed_out=timed_out)
    fields: dict[str, Any] = {"name": word, "run_count": run_count, "start_time": start_time}
    state = made(message or None, result, **fields)
    if state.is_finished():
        state.final = True
    return state


def run_id_of(dag_id: str, run_id: str, task_id: str = "", map_index: int | None = None) -> str:
    """An id for a run of a DAG, or of a task in it over all its tries: Airflow's own are unique in their DAG only."""
    child = "" if map_index is None or map_index < 0 else f"/{map_index}"
    return f"{dag_id}/{run_id}/{task_id}{child}" if task_id else f"{dag_id}/{run_id}"
