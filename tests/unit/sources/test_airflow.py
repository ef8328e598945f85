"""What Airflow's hooks were called with in a real run, as ours; and what they may be called with otherwise."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.sources.airflow import (
    RUN_STATES,
    SILENT_ENDS,
    TASK_STATES,
    run_transition,
    silent_end,
    state_class,
    task_transition,
)
from gateway.states import STATES

SAMPLES = Path(__file__).parents[2] / "samples" / "airflow"
ENDED_AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def sample(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((SAMPLES / f"listener.{name}.json").read_text())
    return read


def member(word: str) -> SimpleNamespace:
    """A member of an enumeration of Airflow's, by how it is printed."""
    return SimpleNamespace(value=word.rpartition(".")[2].lower())


def told(name: str, **more: Any) -> Any:
    hook = sample(name)
    keys = {**hook["task_instance"], "state": member(hook["task_instance"]["state"]), **more}
    run = SimpleNamespace(**hook["task_instance"]["dag_run"])
    instance = SimpleNamespace(**{**keys, "dag_run": run})
    error = ValueError("airflow boom") if "error" in hook else None
    return task_transition(member(hook["previous_state"]), instance, hook["kind"].rpartition("_")[2], error)


@pytest.mark.parametrize(
    ("name", "old", "new", "run_count"),
    [
        ("on_task_instance_running.RUNNING", "Submitted", "Running", 2),
        ("on_task_instance_failed.UP_FOR_RETRY", "Running", "Retrying", 1),
        ("on_task_instance_failed.FAILED", "Running", "Failed", 2),
        ("on_task_instance_success.SUCCESS", "Running", "Success", 1),
        ("on_task_instance_skipped.SKIPPED", "Running", "Skipped", 1),
    ],
)
def test_a_task_is_told_of_in_our_words(name: str, old: str, new: str, run_count: int) -> None:
    transition = told(name)

    assert (transition.old_state.type, transition.state.type, transition.state.run_count) == (old, new, run_count)
    assert transition.source == "airflow"
    assert transition.obj.run_id == f"demo/manual__2026-11-22T15:20:42.850577+00:00/{transition.obj.name}"
    assert transition.flow.run_id == "demo/manual__2026-11-22T15:20:42.850577+00:00"
    assert transition.obj.map_index is None


def test_a_failed_run_is_told_of() -> None:
    run = SimpleNamespace(**{**sample("on_dag_run_failed.failed")["dag_run"], "conf": {"day": "monday"}})

    transition = run_transition(run, "failed", "task_failure", "http://airflow/dags/demo")

    assert transition.old_state is not None
    assert (transition.old_state.type, transition.state.type) == ("Running", "Failed")
    assert transition.obj.parameters == {"day": "monday"}
    assert transition.state.is_final()


def test_a_run_that_took_too_long_is_timed_out() -> None:
    assert run_transition(SimpleNamespace(), "failed", "timed_out").state.type == "TimedOut"


def test_what_somebody_sets_by_hand_has_no_state_before() -> None:
    message = "Dag Run's state was manually set to `failed`."
    assert run_transition(SimpleNamespace(), "failed", message).old_state is None
    assert task_transition(None, SimpleNamespace(state=member("FAILED")), "failed", "by hand").old_state is None


def test_a_task_that_took_too_long_is_timed_out() -> None:
    class AirflowTaskTimeout(BaseException):
        pass

    instance = SimpleNamespace(state=member("FAILED"))
    assert task_transition(member("RUNNING"), instance, "failed", AirflowTaskTimeout()).state.type == "TimedOut"


@pytest.mark.parametrize(("backoff", "due"), [(False, ENDED_AT + timedelta(minutes=5)), (2.0, None)])
def test_a_retry_says_when_it_is_due_if_that_is_known(backoff: Any, due: datetime | None) -> None:
    task = SimpleNamespace(retry_delay=timedelta(minutes=5), retry_exponential_backoff=backoff, dag=None)

    state = told("on_task_instance_failed.UP_FOR_RETRY", task=task, end_date=ENDED_AT).state

    assert state.start_time == (due or state.timestamp)


def test_two_ends_whose_tries_have_no_id_never_share_one() -> None:
    ends = [silent_end(SimpleNamespace(state=member("FAILED"), id=None), SimpleNamespace()) for _ in range(2)]

    assert ends[0].id != ends[1].id


def test_a_try_is_ended_by_one_id_whoever_tells_of_it() -> None:
    failed = told("on_task_instance_failed.FAILED")
    instance = SimpleNamespace(
        id=sample("on_task_instance_failed.FAILED")["task_instance"]["id"], state=member("FAILED"), end_date=ENDED_AT
    )

    late = silent_end(instance, SimpleNamespace())

    assert late.id == failed.id
    assert (late.state.type, late.state.message) == ("Failed", SILENT_ENDS["failed"])
    assert late.occurred_at == ENDED_AT
    assert told("on_task_instance_failed.UP_FOR_RETRY").id != failed.id
    assert told("on_task_instance_running.RUNNING").id != told("on_task_instance_running.RUNNING").id


@pytest.mark.parametrize("odd", [None, object(), "text", SimpleNamespace(map_index="x", try_number=-1, conf="{}")])
def test_whatever_it_is_it_can_be_told(odd: Any) -> None:
    assert task_transition(odd, odd, "failed", odd).state.type == "Failed"
    assert run_transition(odd, "running", "").state.type == "Running"


def test_a_word_of_a_later_airflow_is_a_state_of_no_kind() -> None:
    assert state_class("napping", TASK_STATES).type == "State"


def test_every_word_is_a_state_there_is() -> None:
    assert {*TASK_STATES.values(), *RUN_STATES.values()} <= set(STATES)
