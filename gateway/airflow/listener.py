"""Listener: Airflow's hooks for task instances and DAG runs, called in the processes in which these change.

Tasks change in processes that end right after, DAG runs in the scheduler: both hand over through a client, whose spool
outlives them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from airflow.configuration import conf
from airflow.listeners import hookimpl
from sqlalchemy.orm import object_session

from gateway.client import Client
from gateway.errors import ClientError
from gateway.sources.airflow import SILENT_ENDS, is_by_hand, run_transition, silent_end, task_transition
from gateway.transition import Transition

log = logging.getLogger("gateway.airflow")

FLUSH_SECONDS = 1.0
"""How long the process of a task waits, at most, for the gateway to have what it told."""


class GatewayListener:
    """Airflow's hooks. None of them raises, and none waits for the network."""

    @hookimpl
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        """A try of a task begins, or goes on after it was deferred or rescheduled."""
        _tell(lambda: [task_transition(previous_state, task_instance, "running")])

    @hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        """A task ended well."""
        _tell(lambda: [task_transition(previous_state, task_instance, "success")])

    @hookimpl
    def on_task_instance_failed(self, previous_state: Any, task_instance: Any, error: Any) -> None:
        """A try of a task failed; whether another follows is in its state."""
        _tell(lambda: [task_transition(previous_state, task_instance, "failed", error)])

    @hookimpl
    def on_task_instance_skipped(self, previous_state: Any, task_instance: Any) -> None:
        """A task skipped itself."""
        _tell(lambda: [task_transition(previous_state, task_instance, "skipped")])

    @hookimpl
    def on_dag_run_running(self, dag_run: Any, msg: str) -> None:
        """A DAG's run begins."""
        _tell(lambda: [run_transition(dag_run, "running", msg, _url(dag_run))])

    @hookimpl
    def on_dag_run_success(self, dag_run: Any, msg: str) -> None:
        """A DAG's run ended well."""
        _tell_end(dag_run, "success", msg)

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any, msg: str) -> None:
        """A DAG's run failed."""
        _tell_end(dag_run, "failed", msg)

    @hookimpl
    def before_stopping(self, component: Any) -> None:
        """The process of a task is about to end: what waits is sent now, if the gateway is there."""
        if type(component).__name__ == "TaskRunnerMarker":
            _flush()


@lru_cache(1)
def _client() -> Client | None:
    """The client of this process and those it forks, made with the first change it sees."""
    try:
        return Client()
    except ClientError as error:
        log.error("the gateway is told nothing: %s", error)
        return None


def _tell(observed: Callable[[], Sequence[Transition]]) -> None:
    try:
        client = _client()
        if client is not None:
            client.take(observed())
    except Exception:
        log.exception("a change of state could not be told")


def _flush() -> None:
    try:
        client = _client()
        if client is not None:
            client.flush(FLUSH_SECONDS, patient=False)
    except Exception:
        log.exception("what was told waits for the next process")


def _tell_end(run: Any, word: str, message: str) -> None:
    """A run's end, and before it the ends of its tasks that nobody told."""
    if not is_by_hand(message):
        _tell(lambda: _silent_ends(run))
    _tell(lambda: [run_transition(run, word, message, _url(run))])


def _silent_ends(run: Any) -> list[Transition]:
    session = object_session(run)  # the scheduler's own: another could wait for a lock that this one holds
    by = {} if session is None else {"session": session}
    return [silent_end(instance, run) for instance in run.get_task_instances(state=[*SILENT_ENDS], **by)]


@lru_cache(1)
def _base_url() -> str:
    return str(conf.get("api", "base_url", fallback="http://localhost:8080/")).rstrip("/")


def _url(run: Any) -> str:
    return f"{_base_url()}/dags/{quote(run.dag_id)}/runs/{quote(run.run_id)}"
