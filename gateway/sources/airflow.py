"""Airflow 3: its words for states, its task instances and its DAG runs, as ours.

Needs neither Airflow nor more than the standard library. What is Airflow's is read with care: an attribute can be
missing, or need a database that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.states import STATES, Queued, Running, State
from gateway.transition import Obj, Transition, text_of

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

RUN_LABELS = ("run_type", "triggering_user_name")

TIMED_OUT_RUN = "timed_out"
"""What the scheduler says of a DAG's run that took too long."""


# states


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


# task instances


def task_transition(previous: Any, instance: Any, hook: str, error: Any = None) -> Transition:
    """What happened to a task instance: one of a task's process, or one of Airflow's database.

    Args:
        previous: its state before, ``None`` if somebody set it by hand.
        instance: the task instance.
        hook: the state that the hook is named by; that of the instance counts where it says more.
        error: what it failed of, an exception or a text.
    """
    word = _word(_read(instance, "state"))
    if hook == "failed" and word != "up_for_retry":
        word = "failed"
    elif hook != "failed":
        word = hook
    tries = _count(_read(instance, "try_number"))
    return Transition.of(
        _task(instance),
        None if previous is None else _before(previous, tries),
        state_of(
            word,
            TASK_STATES,
            text_of(error),
            error,
            timed_out=_is_timeout(error),
            run_count=tries,
            start_time=_next_try(instance) if word == "up_for_retry" else None,
        ),
        id=None if previous is None or word == "running" else _id_of_end(instance, word),
        source=SOURCE,
    )


def _id_of_end(instance: Any, word: str) -> str | None:
    """The end of one try, which is told once, by whoever tells of it first: Airflow gives each try an id of its own.

    ``None`` if it cannot be had: two ends must never share one.
    """
    id = _text(instance, "id")
    return f"{SOURCE}/{id}/{word}" if id else None


def _before(previous: Any, tries: int) -> State:
    word = _word(previous)
    return state_class(word, TASK_STATES)(name=word, run_count=tries)


def _task(instance: Any, known_run: Any = None) -> Obj:
    dag_id, run_id, task_id = (_text(instance, name) for name in ("dag_id", "run_id", "task_id"))
    index = _read(instance, "map_index")
    index = index if isinstance(index, int) and index >= 0 else None
    task = _read(instance, "task")
    run = known_run or _read(_read(instance, "_ti_context_from_server"), "dag_run") or _read(instance, "dag_run")
    dag = _read(task, "dag") or _read(run, "dag")
    url = _text(instance, "log_url")
    flow = _flow(dag_id, run_id, run, dag, url.partition("/tasks/")[0])
    child = "" if index is None else f"[{_read(instance, 'rendered_map_index') or index}]"
    return Obj(
        "task",
        task_id,
        run_id=run_id_of(dag_id, run_id, task_id, index),
        run_name=task_id + child,
        tags=flow.tags,
        parameters=flow.parameters,
        labels=_labels(instance, task),
        flow=flow,
        max_retries=_count(_read(instance, "max_tries")),
        map_index=index,
        url=url,
        started_at=_instant(_read(instance, "start_date")),
    )


def _next_try(instance: Any) -> datetime | None:
    """When the next try is due, if the task waits the same time before each."""
    task, ended_at = _read(instance, "task"), _read(instance, "end_date")
    if task is None or ended_at is None or _read(task, "retry_exponential_backoff"):
        return None
    return _instant(ended_at + _read(task, "retry_delay"))


def _is_timeout(error: Any) -> bool:
    return any(cls.__name__ in TIMED_OUT_ERRORS for cls in type(error).__mro__)


SILENT_ENDS: Mapping[str, str] = {
    "failed": "its process ended without telling why: it was killed, or the machine is gone",
    "upstream_failed": "not run: a task upstream failed",
    "skipped": "not run: skipped by the scheduler",
    "removed": "no longer in its DAG",
}
"""Ends of tasks that no hook is called for, or not always, and what is said of them."""


def silent_end(instance: Any, run: Any) -> Transition:
    """How a task ended, as the database knows when the run of its DAG ends.

    If its own process has told, that was under the same id, and the gateway drops this.
    """
    word = _word(_read(instance, "state"))
    state = state_of(word, TASK_STATES, SILENT_ENDS.get(word, ""), run_count=_count(_read(instance, "try_number")))
    ended_at = _instant(_read(instance, "end_date"))
    task = _task(instance, run)
    return Transition.of(task, None, state, id=_id_of_end(instance, word), source=SOURCE, occurred_at=ended_at)


# DAG runs


def is_by_hand(message: object) -> bool:
    """Whether what Airflow says of a run's new state means that somebody set it."""
    return "manually set" in text_of(message)


def run_transition(run: Any, word: str, message: str, url: str = "") -> Transition:
    """What happened to the run of a DAG.

    Args:
        run: the run.
        word: its state now.
        message: what Airflow says of it.
        url: where a person can look at it.
    """
    before = Queued(name="queued") if word == "running" else Running(name="running")
    new = state_of(word, RUN_STATES, text_of(message), timed_out=message == TIMED_OUT_RUN)
    flow = _flow(_text(run, "dag_id"), _text(run, "run_id"), run, _read(run, "dag"), url)
    return Transition.of(flow, None if is_by_hand(message) else before, new, source=SOURCE)


def _flow(dag_id: str, run_id: str, run: Any, dag: Any, url: str) -> Obj:
    conf = _read(run, "conf")
    return Obj(
        "flow",
        dag_id,
        run_id=run_id_of(dag_id, run_id),
        run_name=run_id,
        tags=tuple(sorted(map(text_of, _read(dag, "tags") or ()))),
        parameters=dict(conf) if isinstance(conf, dict) else {},
        labels={key: value for key in RUN_LABELS if (value := _word(_read(run, key)))},
        url=url,
        started_at=_instant(_read(run, "start_date")),
    )


# reading what is Airflow's


def _read(thing: Any, attribute: str) -> Any:
    """An attribute; ``None`` where it is missing or cannot be had, such as of a row without its database."""
    try:
        return getattr(thing, attribute, None)
    except Exception:
        return None


def _text(thing: Any, attribute: str) -> str:
    return text_of(_read(thing, attribute))


def _word(state: Any) -> str:
    return text_of(getattr(state, "value", state))


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _instant(value: Any) -> datetime | None:
    return value if isinstance(value, datetime) and value.tzinfo is not None else None


def _labels(instance: Any, task: Any) -> dict[str, str]:
    found = {
        "hostname": _word(_read(instance, "hostname")),
        "operator": _word(_read(task, "task_type") or _read(instance, "operator")),
        **{key: _word(_read(task, key) or _read(instance, key)) for key in ("owner", "pool", "queue")},
    }
    return {name: value for name, value in found.items() if value}
