"""Objects: what Prefect 3 hands to a hook, as a transition that has the same id as the event its server tells.

An attribute that is not there, or not of the type it should be, counts as empty: versions differ, and a flow must not
fail for it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from gateway.errors import PayloadError
from gateway.sources.prefect.history import flow_of
from gateway.sources.prefect.mapping import SOURCE, Step, retry_id, state_of, step_of, task_of, url_of
from gateway.sources.prefect.reading import Part
from gateway.sources.prefect.table import RETRYING
from gateway.states import PREDICATES, Pending, Retrying, Running, State
from gateway.transition import MAX_ITEMS, Obj, Transition, plain, text_of


def observe(flow_or_task: object, run: object, state: object, ui: str | None = None) -> Transition:
    """The transition that a hook of a flow or task was called for.

    Args:
        flow_or_task: what runs.
        run: its run.
        state: the state that it has entered.
        ui: where Prefect's pages are; what Prefect is set to unless given.

    Raises:
        PayloadError: it is a state of a type that Prefect 3 does not have.
    """
    state = _known_to_server(run, state)
    written = _state(state)
    step, timestamp = _step(written), written.instant("timestamp") or datetime.now(UTC)
    is_task = is_task_run(run)
    new = state_of(written, step, None, timestamp, _run_count(run, step, is_task))
    new.result = _result(state, new)
    before = _before(step, timestamp, is_first=is_task or new.run_count == 1)
    obj = _task(flow_or_task, run, _ui(ui)) if is_task else _flow(flow_or_task, run, _ui(ui))
    if step == ("RUNNING", "Running") and new.run_count == 1:
        obj.started_at = obj.started_at or timestamp
    return Transition.of(obj, before, new, id=_id(state), source=SOURCE, occurred_at=timestamp)


def observe_retry(task: object, run: object, state: object, ui: str | None = None) -> Transition:
    """The transition of a task run that has failed as ``state`` says, and will be tried again.

    Raises:
        PayloadError: it is a state of a type that Prefect 3 does not have.
    """
    written = _state(state)
    step, timestamp = _step(written), written.instant("timestamp") or datetime.now(UTC)
    failed = state_of(written, step, None, timestamp)
    attempt = max(1, _count(_get(run, "run_count")))
    delay = _delay(_get(task, "retry_delay_seconds"), attempt)
    new = Retrying(
        failed.message,
        _result(state, failed),
        name="AwaitingRetry" if delay else RETRYING,
        timestamp=timestamp,
        start_time=timestamp + timedelta(seconds=delay),
        run_count=attempt,
    )
    obj = _task(task, run, _ui(ui))
    id = retry_id(obj.run_id, _count(_get(run, "flow_run_run_count")), attempt)
    return Transition.of(obj, Running(timestamp=timestamp), new, id=id, source=SOURCE, occurred_at=timestamp)


def is_task_run(run: object) -> bool:
    """Whether ``run`` is a task's; otherwise, a flow's."""
    return _get(run, "task_key") is not None


def _known_to_server(run: object, state: object) -> object:
    """The state as the server has it.

    Whoever ends the process of a cancelled flow makes a state of its own for the hooks, with an id that the server
    never hears of; the run still has the one that asked for the end.
    """
    kept = _get(run, "state")
    return kept if _is_cancelling(state) and _is_cancelling(kept) else state


def _is_cancelling(state: object) -> bool:
    return _state(state).text("type") == "CANCELLING"


def _step(written: Part) -> Step:
    step = step_of(written)
    if step is None:
        raise PayloadError(written.complaints)
    return step


def _before(step: Step, timestamp: datetime, *, is_first: bool) -> State | None:
    """The state before, which hooks are not told; as far as the order of Prefect's engine leaves no choice.

    Args:
        step: the state now.
        timestamp: since when; of the one before, no more is known than that it is older.
        is_first: it is a task, or a flow that had not run before.
    """
    if step == ("RUNNING", RETRYING):
        return Retrying(name="AwaitingRetry", timestamp=timestamp)
    if step[0] == "RUNNING":
        return Pending(timestamp=timestamp) if is_first else None
    return None if step[0] == "CRASHED" else Running(timestamp=timestamp)


def _run_count(run: object, step: Step, is_task: bool) -> int:
    """How often it was started; of a flow that has just been, Prefect's object does not know it yet."""
    is_behind = not is_task and step[0] == "RUNNING"
    return _count(_get(run, "run_count")) + is_behind


def _task(task: object, run: object, ui: str) -> Obj:
    read = _run(run)
    obj = task_of(read, read.text("id"), read.text("name"), _flow_of_task(run, ui), ui)
    obj.name = _text(_get(task, "name")) or obj.name
    context = _context("TaskRunContext")
    if _text(_get(_get(context, "task_run"), "id")) == obj.run_id:
        obj.parameters = _parameters(_get(context, "parameters"))
    return obj


def _flow_of_task(run: object, ui: str) -> Obj | None:
    id = _text(_get(run, "flow_run_id"))
    if not id:
        return None
    context = _context("FlowRunContext")
    flow_run = _get(context, "flow_run")
    if _text(_get(flow_run, "id")) == id:
        return _flow(_get(context, "flow"), flow_run, ui)
    return Obj("flow", "", id, url=url_of(ui, "flow", id))


def _flow(flow: object, run: object, ui: str) -> Obj:
    obj = flow_of(_run(run), _text(_get(flow, "name")), ui)
    obj.parameters = _parameters(_get(run, "parameters"))
    return obj


def _context(name: str) -> object:
    """What Prefect keeps of the run in this thread; ``None`` outside of one."""
    try:
        return getattr(sys.modules["prefect.context"], name).get()
    except Exception:
        return None


def _ui(given: str | None) -> str:
    """Where Prefect's pages are: as given, or as Prefect is set to."""
    if given is not None:
        return given
    try:
        return text_of(sys.modules["prefect.settings"].get_current_settings().ui_url)
    except Exception:
        return ""


_RUN = (
    *("id", "name", "task_key", "dynamic_key", "tags", "labels", "run_count", "start_time"),
    *("deployment_id", "work_pool_name", "work_queue_name", "flow_id"),
)


def _run(run: object) -> Part:
    """A run in the form the API gives it, of what is read of it."""
    policy, creator = _get(run, "empirical_policy"), _get(run, "created_by")
    return _part(
        {
            **{name: _get(run, name) for name in _RUN},
            "empirical_policy": {name: _get(policy, name) for name in ("retries", "max_retries")},
            "created_by": {"display_value": _get(creator, "display_value")},
        }
    )


def _state(state: object) -> Part:
    """A state in the form the API gives it, of what is read of it."""
    kind = _get(state, "type")
    return _part(
        {
            "type": _get(kind, "value") or kind,
            **{name: _get(state, name) for name in ("name", "message", "timestamp")},
            "state_details": {"scheduled_time": _get(_get(state, "state_details"), "scheduled_time")},
        }
    )


def _part(values: Mapping[str, Any]) -> Part:
    return Part({key: _written(value) for key, value in values.items()}, "", [])


def _written(value: object) -> object:
    """``value`` as JSON has it."""
    match value:
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
        case set() | frozenset() | tuple():
            return list(value)
        case Mapping():
            return {key: _written(item) for key, item in value.items()}
    return value


def _id(state: object) -> str | None:
    return _text(_get(state, "id")) or None


def _text(value: object) -> str:
    return "" if value is None else text_of(value)


def _count(value: object) -> int:
    return value if type(value) is int and value > 0 else 0


def _parameters(values: object) -> dict[str, Any]:
    made = plain(values) if isinstance(values, Mapping) else None
    return made if isinstance(made, dict) else {}


def _result(state: object, new: State) -> Any:
    """What the state carries, as plain data; of a failure the exception. Only what is in memory: nothing is loaded."""
    data = _get(state, "data")
    is_record = any(base.__name__ == "ResultRecord" for base in type(data).__mro__)
    value = _get(data, "result") if is_record else data
    if any(base.__name__ == "ResultRecordMetadata" for base in type(data).__mro__):
        value = None
    told = _plain(value)
    return told if told is not None or new.type not in PREDICATES["failed"] else new.result


def _plain(value: object) -> Any:
    """``value`` as plain data; a flow's result can be the states of its tasks."""
    if isinstance(value, (list, tuple)) and any(map(_is_state, value[:MAX_ITEMS])):
        return [_plain(one) for one in value[:MAX_ITEMS]]
    if not _is_state(value):
        return plain(value)
    written = _state(value)
    result = _get(value, "data")
    return {
        "type": written.text("type"),
        "name": written.text("name"),
        "message": written.message("message"),
        "result": plain(result) if isinstance(result, BaseException) else None,
    }


def _is_state(value: object) -> bool:
    return any(base.__name__ == "State" and base.__module__.startswith("prefect.") for base in type(value).__mro__)


def _delay(delays: object, attempt: int) -> float:
    """Seconds until the attempt after ``attempt``; a random share that is added to it is not known yet."""
    if isinstance(delays, (list, tuple)) and delays:
        delays = delays[min(attempt, len(delays)) - 1]
    return float(delays) if isinstance(delays, (int, float)) and delays > 0 else 0.0


def _get(thing: object, name: str) -> Any:
    try:
        return getattr(thing, name, None)
    except Exception:
        return None
