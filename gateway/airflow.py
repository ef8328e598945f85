"""Airflow 3's listener plugin: tells a gateway of task instances and DAG runs, from the processes in which they change.

Installed beside Airflow it is found by itself, and does nothing until ``GATEWAY_URL`` says where the gateway is. Tasks
change in processes that end right after, DAG runs in the scheduler: both hand over through a client, whose spool
outlives them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from gateway.client import Client
from gateway.client.client import URL_VARIABLE
from gateway.errors import ClientError
from gateway.sources.airflow import (
    RUN_STATES,
    SOURCE,
    TASK_STATES,
    TIMED_OUT_ERRORS,
    TIMED_OUT_RUN,
    run_id_of,
    state_class,
    state_of,
)
from gateway.states import Queued, Running, State
from gateway.transition import Obj, Transition, text_of

log = logging.getLogger("gateway.airflow")

FLUSH_SECONDS = 1.0
"""How long the process of a task waits, at most, for the gateway to have what it told."""


class GatewayListener:
    """Airflow's hooks. None of them raises, and none waits for the network."""

    @hookimpl
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        """A try of a task begins, or goes on after it was deferred or rescheduled."""
        _tell(lambda: task_transition(previous_state, task_instance, "running"))

    @hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        """A task ended well."""
        _tell(lambda: task_transition(previous_state, task_instance, "success"))

    @hookimpl
    def on_task_instance_failed(self, previous_state: Any, task_instance: Any, error: Any) -> None:
        """A try of a task failed; whether another follows is in its state."""
        _tell(lambda: task_transition(previous_state, task_instance, "failed", error))

    @hookimpl
    def on_task_instance_skipped(self, previous_state: Any, task_instance: Any) -> None:
        """A task skipped itself."""
        _tell(lambda: task_transition(previous_state, task_instance, "skipped"))

    @hookimpl
    def on_dag_run_running(self, dag_run: Any, msg: str) -> None:
        """A DAG's run begins."""
        _tell(lambda: run_transition(dag_run, "running", msg))

    @hookimpl
    def on_dag_run_success(self, dag_run: Any, msg: str) -> None:
        """A DAG's run ended well."""
        _tell(lambda: run_transition(dag_run, "success", msg))

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any, msg: str) -> None:
        """A DAG's run failed."""
        _tell(lambda: run_transition(dag_run, "failed", msg))

    @hookimpl
    def before_stopping(self, component: Any) -> None:
        """The process of a task is about to end: what waits is sent now, if the gateway is there."""
        client = _client()
        if client is not None and type(component).__name__ == "TaskRunnerMarker":
            client.flush(FLUSH_SECONDS, patient=False)


class GatewayPlugin(AirflowPlugin):
    """What Airflow finds by the entry point."""

    name = "gateway"
    listeners = [GatewayListener()] if os.environ.get(URL_VARIABLE) else []


@lru_cache(1)
def _client() -> Client | None:
    """The client of this process and those it forks, made with the first change it sees."""
    try:
        return Client()
    except ClientError as error:
        log.error("the gateway is told nothing: %s", error)
        return None


def _tell(observed: Callable[[], Transition]) -> None:
    try:
        client = _client()
        if client is not None:
            client.take([observed()])
    except Exception:
        log.exception("a change of state could not be told")


# tasks


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
    tries = _read(instance, "try_number") or 0
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
        source=SOURCE,
    )


def _before(previous: Any, tries: int) -> State:
    word = _word(previous)
    return state_class(word, TASK_STATES)(name=word, run_count=tries)


def _task(instance: Any) -> Obj:
    dag_id, run_id, task_id = (_text(instance, name) for name in ("dag_id", "run_id", "task_id"))
    index = _read(instance, "map_index")
    index = index if isinstance(index, int) and index >= 0 else None
    dag = _read(_read(instance, "task"), "dag")
    run = _read(_read(instance, "_ti_context_from_server"), "dag_run") or _read(instance, "dag_run")
    flow = _flow(dag_id, run_id, run, dag)
    child = "" if index is None else f"[{_read(instance, 'rendered_map_index') or index}]"
    return Obj(
        "task",
        task_id,
        run_id=run_id_of(dag_id, run_id, task_id, index),
        run_name=task_id + child,
        tags=flow.tags,
        parameters=flow.parameters,
        labels=_labels(_read(instance, "task"), ("owner", "task_type", "queue", "pool"))
        | _labels(instance, ("hostname",)),
        flow=flow,
        max_retries=_count(_read(instance, "max_tries")),
        map_index=index,
        url=_text(instance, "log_url"),
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


# DAG runs


def run_transition(run: Any, word: str, message: str) -> Transition:
    """What happened to the run of a DAG."""
    is_by_hand = "manually set" in message
    old = None if is_by_hand else Queued(name="queued") if word == "running" else Running(name="running")
    new = state_of(word, RUN_STATES, message, timed_out=message == TIMED_OUT_RUN)
    return Transition.of(
        _flow(_text(run, "dag_id"), _text(run, "run_id"), run, _read(run, "dag")), old, new, source=SOURCE
    )


def _flow(dag_id: str, run_id: str, run: Any, dag: Any) -> Obj:
    conf = _read(run, "conf")
    return Obj(
        "flow",
        dag_id,
        run_id=run_id_of(dag_id, run_id),
        run_name=run_id,
        tags=tuple(sorted(map(text_of, _read(dag, "tags") or ()))),
        parameters=dict(conf) if isinstance(conf, dict) else {},
        labels=_labels(run, ("run_type", "triggering_user_name")),
        url=_url(dag_id, run_id),
        started_at=_instant(_read(run, "start_date")),
    )


@lru_cache(1)
def _base_url() -> str:
    from airflow.configuration import conf  # not before Airflow is up

    return str(conf.get("api", "base_url", fallback="http://localhost:8080/")).rstrip("/")


def _url(dag_id: str, run_id: str) -> str:
    try:
        return f"{_base_url()}/dags/{quote(dag_id)}/runs/{quote(run_id)}"
    except Exception:
        return ""


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


def _labels(thing: Any, names: tuple[str, ...]) -> dict[str, str]:
    found = {name: _word(_read(thing, name)) for name in names}
    return {name: value for name, value in found.items() if value}
