"""Sample transitions: one of every kind, to try templates on before anything real happens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from gateway.states import PREDICATES, STATES, State
from gateway.transition import Kind, Obj, Transition

_AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def sample_transitions(on: Literal["task", "flow"] | None = None) -> list[Transition]:
    """A transition into every type of state, of a task, a flow or (``None``) both; always the same ones.

    For each kind there is also one whose source did not tell the old state.
    """
    kinds: list[Kind] = ["task", "flow"] if on is None else [on]
    return [transition for kind in kinds for transition in _of(kind)]


def _of(kind: Kind) -> list[Transition]:
    into = [_transition(kind, _before(name), _state(name), name) for name in STATES if name != "State"]
    return [*into, _transition(kind, None, _state("Failed"), "unknown-before")]


def _transition(kind: Kind, old_state: State | None, state: State, name: str) -> Transition:
    obj = _obj(kind)
    return Transition.of(obj, old_state, state, id=f"sample-{kind}-{name.lower()}", source="sample", occurred_at=_AT)


def _obj(kind: Kind) -> Obj:
    known: dict[str, Any] = {"tags": ("prod",), "parameters": {"day": "2026-03-28"}, "labels": {"team": "data"}}
    known |= {"started_at": _AT - timedelta(minutes=1), "log": ("1,204 rows read",)}
    flow = Obj("flow", "etl", "flow-run-1", "azure-fox", url="http://localhost/runs/1", **known)
    if kind == "flow":
        return flow
    url = f"{flow.url}/load"
    return Obj("task", "load", "task-run-1", "load-0", flow=flow, max_retries=3, url=url, **known)


def _before(name: str) -> State:
    return _state("Running" if name in PREDICATES["finished"] or name == "Retrying" else "Pending")


def _state(name: str) -> State:
    start_time = _AT + timedelta(minutes=5) if name in PREDICATES["scheduled"] else None
    return STATES[name](
        f"{name} in a sample.", _result(name), timestamp=_AT, start_time=start_time, run_count=1 if start_time else 0
    )


def _result(name: str) -> Any:
    return ValueError("a sample of an error") if name in PREDICATES["failed"] else None
