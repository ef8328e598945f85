"""What a state handler is called with, normalised: our own tasks and flows, and Prefect 1's.

Both engines call handlers with ``(obj, old_state, new_state)`` and keep the rest in a run
context. Prefect 1 is recognised by the names of its classes, never imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from operator import index
from typing import Any

from gateway.context import context
from gateway.states import STATES, State
from gateway.transition import Kind, Obj, Transition, text_of

_class: Callable[[Any], Any] = type
"""Not ``__class__``: of that, an object can make anything."""


def observe(obj: Any, old_state: Any, new_state: Any) -> Transition:
    """The transition a state handler was called for.

    Args:
        obj: a task or flow, or Prefect 1's runner of one.
        old_state: the state before.
        new_state: the state proposed.

    A state that neither engine knows becomes the nearest of our classes by the names of its
    ancestors. A failed attempt of a task that has retries left is noted as not final: Prefect 1
    reports every attempt as ``Failed``. An attribute that raises, or is of another type than it
    should be, counts as not there: it is other people's code, and the run must not fail for it here.
    """
    subject = _unwrap(obj)
    values = _run_context(subject)
    normalised = _obj(subject, values)
    old = None if old_state is None else _state(old_state, values)
    new = _state(new_state, values)
    if normalised.kind == "task":
        old, new = _with_finality(old, new, normalised.max_retries, values)
    return Transition.of(normalised, old, new, source=_source(_class(subject)))


def _unwrap(obj: Any) -> Any:
    """The task or flow behind a Prefect 1 runner, which calls its own handlers with itself."""
    kind = type(obj).__name__
    role = "task" if kind.endswith("TaskRunner") else "flow" if kind.endswith("FlowRunner") else None
    inner = None if role is None else _read(obj, role)
    return obj if inner is None else inner


def _read(thing: Any, attribute: str) -> Any:
    try:
        return getattr(thing, attribute, None)
    except Exception:
        return None


@lru_cache(1024)
def _source(cls: type) -> str:
    return "prefect1" if any(base.__module__.partition(".")[0] == "prefect" for base in cls.__mro__) else "local"


def _run_context(subject: Any) -> Mapping[str, Any]:
    """The run context of the engine that runs ``subject``."""
    if _source(_class(subject)) == "prefect1":
        return sys.modules["prefect"].context  # type: ignore[no-any-return]
    return context.snapshot()


@lru_cache(1024)
def _kind(cls: type) -> Kind:
    names = {base.__name__ for base in cls.__mro__}
    return "flow" if "Flow" in names or ("Task" not in names and hasattr(cls, "tasks")) else "task"


def _obj(subject: Any, values: Mapping[str, Any]) -> Obj:
    flow_run_id, flow_run_name = text_of(values.get("flow_run_id")), text_of(values.get("flow_run_name"))
    name = text_of(_read(subject, "name")) or type(subject).__name__
    if _kind(_class(subject)) == "flow":
        return Obj(
            "flow",
            name,
            run_id=flow_run_id,
            run_name=flow_run_name,
            tags=_tags(subject),
            parameters=_parameters(values),
        )
    full_name = text_of(values.get("task_full_name")) or name
    flow = Obj("flow", text_of(values.get("flow_name")), run_id=flow_run_id, run_name=flow_run_name)
    flow.tags = _texts(values.get("flow_tags"))
    return Obj(
        "task",
        name,
        run_id=_task_run_id(values, full_name),
        run_name=full_name,
        tags=_tags(subject),
        parameters=_parameters(values),
        flow=flow,
        max_retries=_count(_read(subject, "max_retries")),
        map_index=_map_index(values),
    )


def _task_run_id(values: Mapping[str, Any], full_name: str) -> str:
    """The engine's id, or one made of the flow run's.

    A Prefect 1 run without a backend (the one engine that tells a slug) gives each attempt a new id and
    all mapped children the same one: of no use to tell the runs apart.
    """
    known, slug = text_of(values.get("task_run_id")), text_of(values.get("task_slug"))
    if known and (not slug or values.get("running_with_backend")):
        return known
    flow_run_id, child_index = text_of(values.get("flow_run_id")), _map_index(values)
    child = "" if child_index is None or not slug else f"[{child_index}]"
    return f"{flow_run_id}/{slug or full_name}{child}" if flow_run_id else ""


def _tags(subject: Any) -> tuple[str, ...]:
    return tuple(sorted(_texts(_read(subject, "tags"))))


def _texts(values: Any) -> tuple[str, ...]:
    if values is None or type(values) is str:
        return (values,) if values else ()
    try:
        return tuple(map(text_of, values))
    except Exception:
        return ()


def _count(value: Any) -> int:
    if type(value) is int:
        return value
    try:
        return 0 if value is None else int(index(value))
    except Exception:
        return 0


def _map_index(values: Mapping[str, Any]) -> int | None:
    found = values.get("map_index")
    return found if type(found) is int else None


def _parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(values.get("parameters") or {})
    except Exception:
        return {}


def _state(state: Any, values: Mapping[str, Any]) -> State:
    if issubclass(type(state), State):
        return state  # type: ignore[no-any-return]
    start_time = _read(state, "start_time")
    return _nearest(_class(state))(
        text_of(_read(state, "message")) or None,
        _read(state, "result"),
        name=type(state).__name__,
        start_time=start_time if issubclass(type(start_time), datetime) else None,
        run_count=_count(_read(state, "run_count")) or _count(values.get("task_run_count")),
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
        attempts = _count(values.get("task_run_count")) or _count(new.run_count) or 1
        return old, new.replace(final=attempts > max_retries or not _may_be_retried(old))
    return old, new


def _may_be_retried(old: State | None) -> bool:
    return old is None or old.is_running()
