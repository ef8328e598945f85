"""Transition: the normalised fact that a task or flow went from one state to another.

Every source yields transitions; expressions and templates see nothing else. The classes
are slotted dataclasses, never pydantic models: those must not be reachable from a template.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from gateway.states import State

Kind = Literal["task", "flow"]


@dataclass(slots=True)
class Obj:
    """The task or flow (run) that changed.

    Attributes:
        kind: ``"task"`` or ``"flow"``.
        name: the name in the engine; ``""`` when the source does not tell (the flow of a lone task).
        run_id: the engine's id of this run; ``""`` when unknown.
        run_name: the engine's own name of this run (``"azure-fox"``).
        tags: labels without a value, in the engine's order.
        parameters: what the run was called with.
        labels: labels with a value.
        flow: for a task, the flow it runs in.
        max_retries: how many retries the task allows.
        map_index: which of the mapped children this is.
        url: where a person can look at the run.
        started_at: when the run began to work, UTC-aware; ``None`` when the source does not tell, or it has not.
        log: the last lines that the run logged; empty when the source does not tell.
    """

    kind: Kind
    name: str
    run_id: str = ""
    run_name: str = ""
    tags: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    flow: Obj | None = None
    max_retries: int = 0
    map_index: int | None = None
    url: str = ""
    started_at: datetime | None = None
    log: tuple[str, ...] = ()


NO_FLOW = Obj("flow", "")
"""Stands for the flow of a task whose source names none."""


@dataclass(slots=True)
class Transition:
    """``obj`` went from ``old_state`` to ``state``.

    Use :meth:`of` to build one; ``kind``, ``task`` and ``flow`` follow from ``obj``.

    Attributes:
        id: identifies the transition; the same id twice is the same transition.
        source: where it came from (``"local"``, ``"prefect1"`` …).
        occurred_at: when it happened, UTC-aware.
        kind: ``"task"`` or ``"flow"``: what ``obj`` is.
        obj: what changed.
        task: ``obj`` if it is a task, else ``None``.
        flow: ``obj`` if it is a flow, else the task's flow; never ``None``.
        state: the new state.
        old_state: the state before, ``None`` when the source does not tell.
        text: the JSON object it was read from, if it was; :mod:`gateway.encoding` keeps that as it is.
    """

    id: str
    source: str
    occurred_at: datetime
    kind: Kind
    obj: Obj
    task: Obj | None
    flow: Obj
    state: State
    old_state: State | None
    text: str = field(default="", compare=False, repr=False)

    @classmethod
    def of(
        cls,
        obj: Obj,
        old_state: State | None,
        new_state: State,
        *,
        id: str | None = None,
        source: str = "local",
        occurred_at: datetime | None = None,
        text: str = "",
    ) -> Transition:
        """The transition of ``obj`` from ``old_state`` to ``new_state``; a new id, and now, unless given."""
        is_task = obj.kind == "task"
        return cls(
            new_id() if id is None else id,
            source,
            datetime.now(UTC) if occurred_at is None else occurred_at,
            obj.kind,
            obj,
            obj if is_task else None,
            (obj.flow or NO_FLOW) if is_task else obj,
            new_state,
            old_state,
            text,
        )


def new_id() -> str:
    """32 hexadecimal digits laid out as a version 7 UUID (RFC 9562): ids made later sort later.

    Time-ordered ids keep inserts into a unique index cheap.
    """
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    return f"{milliseconds << 80 | 7 << 76 | (random >> 68) << 64 | 0b10 << 62 | random & (1 << 62) - 1:032x}"


MAX_DEPTH, MAX_ITEMS, MAX_TEXT = 5, 200, 20_000
MAX_VALUES = 10_000
"""Plain data is at most so deep, so long at each place, so long in one text, and so many values in all."""


def text_of(message: object) -> str:
    """A state's message as text: ``""`` for none, the text of an exception for an exception."""
    if type(message) is str:
        return message
    if message is None:
        return ""
    try:
        return str.__str__(str(message))  # a text itself, where a subclass may do anything
    except Exception as error:
        return f"<{type(message).__name__} that cannot be printed: {type(error).__name__}>"


def plain(value: object) -> Any:
    """``value`` as plain data: what rules, templates and the store may see of a result.

    Scalars, dates, mappings and sequences stay themselves. An exception or a signal becomes a mapping of
    ``type``, ``message``, ``traceback`` if it was raised, and the public attributes set on it; a state one of ``type``,
    ``message`` and ``result``; a dataclass one of its fields. Anything else is told by its type name only: a large or
    secret object is never walked or printed, and one that raises when it is read is told the same way.
    Depth, lengths and the number of values are bounded.
    """
    kind = type(value)
    if kind is str:
        return cut(value)  # type: ignore[arg-type] # it is one
    if kind in _ATOMS or (kind is dict and not value):
        return value
    return _Walk().plain(value, MAX_DEPTH)


_ATOMS = frozenset({type(None), bool, int, float, datetime, date, timedelta})
"""What is plain as it is. Of exactly these types: a subclass may do anything."""


def cut(text: str) -> str:
    """``text``, or as much of it as is kept."""
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"


MOST_FRAMES = 50
"""Of a longer traceback, so many frames at its end are told."""


def traceback_of(error: BaseException) -> str:
    """The traceback of ``error`` as Python prints it, causes included; of a long one, the end."""
    text = "".join(traceback.format_exception(error, limit=-MOST_FRAMES))
    return text if len(text) <= MAX_TEXT else "…" + text[-MAX_TEXT:]


class _Walk:
    """One making of plain data; counts the values made."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def plain(self, value: object, depth: int) -> Any:
        self._left -= 1
        kind = type(value)
        if kind in _ATOMS:  # nearly all there is
            return value
        if kind is str:
            return cut(value)  # type: ignore[arg-type] # it is one
        try:
            return self._read(value, depth)
        except Exception:
            return f"<{type(value).__name__} that cannot be read>"

    def _read(self, value: object, depth: int) -> Any:
        match value:
            case datetime() | date() | timedelta():
                return value
            case int():  # here and below without what a subclass may do: an enumeration, or worse
                return int.__index__(value)
            case float():
                return float.__float__(value)
            case str():
                return cut(str.__str__(value))
            case _ if depth == 0 or self._left < 0:
                return f"<{type(value).__name__}>"
            case Mapping():
                return self._items(((_key(key), item) for key, item in value.items()), depth)
            case list() | tuple() | set() | frozenset():
                return [self.plain(item, depth - 1) for item in self._first(value)]
            case _ if _is_state(value):
                return self._state(value, depth)
            case BaseException():
                known = {"type": type(value).__name__, "message": self.plain(text_of(value), depth)}
                if value.__traceback__ is not None:
                    known["traceback"] = traceback_of(value)
                return known | self._items(_public(vars(value)), depth)
            case _ if is_dataclass(value) and not isinstance(value, type):
                return self._items(((f.name, getattr(value, f.name, None)) for f in fields(value)), depth)
        return f"<{type(value).__name__}>"

    def _first(self, items: Iterable[Any]) -> Iterator[Any]:
        """As many of ``items`` as may be had."""
        for item, _ in zip(items, range(MAX_ITEMS), strict=False):
            if self._left < 0:
                return
            yield item

    def _items(self, items: Iterable[tuple[str, Any]], depth: int) -> dict[str, Any]:
        return {key: self.plain(item, depth - 1) for key, item in self._first(items)}

    def _state(self, state: Any, depth: int) -> dict[str, Any]:
        kind = type(state).__name__
        return {
            "type": getattr(state, "type", kind),
            "name": getattr(state, "name", kind),
            "message": self.plain(text_of(state.message), depth),
            "result": self.plain(state.result, depth - 1),
        }


def _is_state(value: object) -> bool:
    """Whether it is a state, of ours or of Prefect 1, whose flows' results map tasks to them."""
    return any(base is State or base.__module__ == "prefect.engine.state" for base in type(value).__mro__)


def _public(attributes: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, item) for name, item in attributes.items() if not name.startswith("_") and name != "state"]


def _key(key: object) -> str:
    """Text for a mapping's key; a task (any object with a name) is told by its name."""
    if isinstance(key, str):
        return str.__str__(key)
    name = getattr(key, "name", None)
    return name if type(name) is str and name else str(_Walk().plain(key, 0))
