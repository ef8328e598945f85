"""What a state handler is called with, normalised: our own tasks and flows, and Prefect 1's.

Both engines call handlers with ``(obj, old_state, new_state)`` and keep the rest in a run
context. Prefect 1 is recognised by the names of its classes, never imported.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gateway.context import context
from gateway.states import STATES, State
from gateway.transition import Kind, Obj, Transition, text_of


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
    old = None if old_state is None else _state(old_state, values)
    new = _state(new_state, values)
    if normalised.kind == "task":
        old, new = _with_finality(old, new, normalised.max_retries, values)
    return Transition.of(normalised, old, new, source=_source(subject.__class__))


def _unwrap(obj: Any) -> Any:
    """The task or flow behind a Prefect 1 runner, which calls its own handlers with itself."""
    kind = type(obj).__name__
    if kind.endswith("TaskRunner"):
        return obj.task
    return obj.flow if kind.endswith("FlowRunner") else obj


@lru_cache(1024)
def _source(cls: type) -> str:
    return "prefect1" if any(base.__module__.partition(".")[0] == "prefect" for base in cls.__mro__) else "local"


def _run_context(subject: Any) -> Mapping[str, Any]:
    """The run context of the engine that runs ``subject``."""
    if _source(subject.__class__) == "prefect1":
        return sys.modules["prefect"].context  # type: ignore[no-any-return]
    return context.snapshot()


@lru_cache(1024)
def _kind(cls: type) -> Kind:
    names = {base.__name__ for base in cls.__mro__}
    return "flow" if "Flow" in names or ("Task" not in names and hasattr(cls, "tasks")) else "task"


def _obj(subject: Any, values: Mapping[str, Any]) -> Obj:
    flow_run_id = values.get("flow_run_id") or ""
    name = getattr(subject, "name", None) or type(subject).__name__
    if _kind(subject.__class__) == "flow":
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
        run_id=_task_run_id(values, full_name),
        run_name=full_name,
        tags=_tags(subject),
        parameters=dict(values.get("parameters") or {}),
        flow=flow,
        max_retries=getattr(subject, "max_retries", 0) or 0,
        map_index=values.get("map_index"),
    )


def _task_run_id(values: Mapping[str, Any], full_name: str) -> str:
    """The engine's id, or one made of the flow run's.

    A Prefect 1 run without a backend (the one engine that tells a slug) gives each attempt a new id and
    all mapped children the same one: of no use to tell the runs apart.
    """
    known = values.get("task_run_id")
    slug = values.get("task_slug")
    if known and (slug is None or values.get("running_with_backend")):
        return str(known)
    flow_run_id, index = values.get("flow_run_id"), values.get("map_index")
    child = "" if index is None or slug is None else f"[{index}]"
    return f"{flow_run_id}/{slug or full_name}{child}" if flow_run_id else ""


def _tags(subject: Any) -> tuple[str, ...]:
    tags = getattr(subject, "tags", None)
    return tuple(sorted(tags)) if tags else ()


def _state(state: Any, values: Mapping[str, Any]) -> State:
    if isinstance(state, State):
        return state
    return _nearest(state.__class__)(
        text_of(getattr(state, "message", None)) or None,
        getattr(state, "result", None),
        name=type(state).__name__,
        start_time=getattr(state, "start_time", None),
        run_count=getattr(state, "run_count", None) or values.get("task_run_count") or 0,
    )


@lru_cache(1024)
def _nearest(cls: type) -> type[State]:
    return next((STATES[base.__name__] for base in cls.__mro__ if base.__name__ in STATES), State)


def _with_finality(
    old: State | None, new: State, max_retries: int, values: Mapping[str, Any]
) -> tuple[State | None, State]:
    """Both states, a failure among them noted as final or not. Only a failure out of ``Running`` is ever retried."""
    if old is not None and old.final is None and old.is_failed() and not new.is_finished():
        return old.replace(final=False), new
    if new.final is None and new.is_failed():
        attempts = values.get("task_run_count") or new.run_count or 1
        return old, new.replace(final=attempts > max_retries or not _may_be_retried(old))
    return old, new


def _may_be_retried(old: State | None) -> bool:
    return old is None or old.is_running()
