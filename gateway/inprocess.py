"""What a state handler is called with, normalised: our own tasks and flows, and Prefect 1's.

Both engines call handlers with ``(obj, old_state, new_state)`` and keep the rest in a run
context. Prefect 1 is recognised by the names of its classes, never imported.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from gateway.context import context
from gateway.states import STATES, State
from gateway.transition import Kind, Obj, Transition, text_of

_kinds: dict[type, Kind] = {}
_foreign: dict[type, type[State]] = {}


def observe(obj: Any, old_state: Any, new_state: Any) -> Transition:
    """The transition a state handler was called for.

    Args:
        obj: a task or flow, or Prefect 1's runner of one.
        old_state: the state before.
        new_state: the state proposed.

    A state that neither engine knows becomes the nearest of our classes by the names of its
    ancestors. A failed attempt of a task that has retries left is noted as not final: Prefect 1
    reports every attempt as ``Failed``.
    """
    subject = _unwrap(obj)
    values = _run_context(subject)
    normalised = _obj(subject, values)
    return Transition.of(
        normalised,
        None if old_state is None else _state(old_state, values),
        _with_finality(_state(new_state, values), normalised, values),
        source=_source(subject),
    )


def _unwrap(obj: Any) -> Any:
    """The task or flow behind a Prefect 1 runner, which calls its own handlers with itself."""
    kind = type(obj).__name__
    if kind.endswith("TaskRunner"):
        return obj.task
    return obj.flow if kind.endswith("FlowRunner") else obj


def _source(subject: Any) -> str:
    return "prefect1" if type(subject).__module__.partition(".")[0] == "prefect" else "local"


def _run_context(subject: Any) -> Mapping[str, Any]:
    """Our run context; Prefect's where a real Prefect engine is running the object."""
    prefect = sys.modules.get("prefect")
    foreign = getattr(prefect, "context", None)
    if foreign is not None and not context and hasattr(foreign, "get"):
        return foreign  # type: ignore[no-any-return]
    return context


def _kind(subject: Any) -> Kind:
    cls = type(subject)
    kind = _kinds.get(cls)
    if kind is None:
        names = {base.__name__ for base in cls.__mro__}
        is_flow = "Flow" in names or ("Task" not in names and hasattr(subject, "tasks"))
        kind = _kinds[cls] = "flow" if is_flow else "task"
    return kind


def _obj(subject: Any, values: Mapping[str, Any]) -> Obj:
    flow_run_id = values.get("flow_run_id") or ""
    name = getattr(subject, "name", None) or type(subject).__name__
    if _kind(subject) == "flow":
        return Obj(
            "flow",
            name,
            run_id=flow_run_id,
            run_name=values.get("flow_run_name") or "",
            tags=_tags(subject),
            parameters=dict(values.get("parameters") or {}),
        )
    full_name = values.get("task_full_name") or name
    flow = Obj("flow", values.get("flow_name") or "", run_id=flow_run_id, run_name=values.get("flow_run_name") or "")
    flow.tags = tuple(values.get("flow_tags") or ())
    return Obj(
        "task",
        name,
        run_id=values.get("task_run_id") or (f"{flow_run_id}/{full_name}" if flow_run_id else ""),
        run_name=full_name,
        tags=_tags(subject),
        parameters=dict(values.get("parameters") or {}),
        flow=flow,
        max_retries=getattr(subject, "max_retries", 0) or 0,
        map_index=values.get("map_index"),
    )


def _tags(subject: Any) -> tuple[str, ...]:
    tags = getattr(subject, "tags", None)
    return tuple(sorted(tags)) if tags else ()


def _state(state: Any, values: Mapping[str, Any]) -> State:
    if isinstance(state, State):
        return state
    cls = type(state)
    ours = _foreign.get(cls)
    if ours is None:
        ours = _foreign[cls] = next((STATES[b.__name__] for b in cls.__mro__ if b.__name__ in STATES), State)
    return ours(
        text_of(getattr(state, "message", None)) or None,
        getattr(state, "result", None),
        name=cls.__name__,
        start_time=getattr(state, "start_time", None),
        run_count=getattr(state, "run_count", None) or values.get("task_run_count") or 0,
    )


def _with_finality(state: State, obj: Obj, values: Mapping[str, Any]) -> State:
    if state.final is not None or not state.is_failed() or obj.kind != "task" or state.is_trigger_failed():
        return state
    attempts = values.get("task_run_count") or state.run_count or 1
    return state.replace(final=attempts > obj.max_retries)
