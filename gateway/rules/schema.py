"""The types of what expressions and templates can see: roots, models, fields, methods.

One description serves the type checker of both, their editors' schema and the documentation.
``read`` is the Python source by which compiled code reads a field of ``{0}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from gateway.states import PREDICATES, STATES
from gateway.transition import plain, text_of

TypeName = Literal[
    "str", "int", "float", "bool", "datetime", "timedelta", "none", "list", "dict", "model", "any", "loop"
]


@dataclass(frozen=True, slots=True)
class Ty:
    """A static type.

    Attributes:
        name: which kind of value.
        model: for ``model``, what it is.
        item: for ``list`` and ``dict``, the type of an element or value.
        optional: the value may be ``None``.
        literals: for ``str``, the only values it can have.
    """

    name: TypeName
    model: Model | None = None
    item: Ty | None = None
    optional: bool = False
    literals: frozenset[str] | None = None

    def or_none(self) -> Ty:
        """The same, but possibly ``None``."""
        return replace(self, optional=True)

    def __str__(self) -> str:
        return self.model.name if self.model else self.name


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a model: its type, how compiled code reads it, what it means."""

    ty: Ty
    doc: str
    read: str = ""


@dataclass(frozen=True, slots=True)
class Method:
    """A method that may be called: number of arguments, result, and the Python it is lowered to.

    ``code`` is a format of the receiver ``{0}`` and the arguments ``{1}`` …; empty means a plain
    call of the receiver's method of that name.
    """

    result: Ty
    min_args: int = 0
    max_args: int = 0
    code: str = ""


@dataclass(frozen=True, eq=False)
class Model:
    """A type with named fields and predicates; compared by identity."""

    name: str
    doc: str
    fields: dict[str, Field] = field(default_factory=dict)
    methods: dict[str, Method] = field(default_factory=dict)


ANY = Ty("any")
STR = Ty("str")
INT = Ty("int")
FLOAT = Ty("float")
BOOL = Ty("bool")
NONE = Ty("none")
DATETIME = Ty("datetime")
TIMEDELTA = Ty("timedelta")
STRINGS = Ty("list", item=STR)
ANYTHING = Ty("list", item=ANY)

STATE_MODEL = Model(
    "State",
    "a state, old or new",
    fields={
        "type": Field(Ty("str", literals=frozenset(STATES)), "the class of the state: what to match on"),
        "name": Field(STR, "the engine's own word for it"),
        "message": Field(STR, "text for people; empty when the engine gave none", "_text({0}.message)"),
        "result": Field(ANY, "the data it carries, as plain data", "_plain({0}.result)"),
        "start_time": Field(DATETIME.or_none(), "when the run is due (scheduled and retrying states)"),
        "timestamp": Field(DATETIME, "when the state was created"),
        "run_count": Field(INT, "attempts so far; 0 when unknown"),
    },
    methods={
        **{f"is_{name}": Method(BOOL, code=f"({{0}}.type in _{name.upper()})") for name in PREDICATES},
        "is_final": Method(BOOL, code="{0}.is_final()"),
    },
)

OBJ_MODEL = Model("Obj", "the task or flow that changed")
OBJ = Ty("model", OBJ_MODEL)
OBJ_MODEL.fields.update(
    {
        "kind": Field(Ty("str", literals=frozenset({"task", "flow"})), "task or flow"),
        "name": Field(STR, "its name in the engine"),
        "run_id": Field(STR, "the engine's id of this run; empty when unknown"),
        "run_name": Field(STR, "the engine's own name of this run"),
        "tags": Field(STRINGS, "its tags"),
        "parameters": Field(Ty("dict", item=ANY), "what the run was called with", "_plain({0}.parameters)"),
        "labels": Field(Ty("dict", item=STR), "labels with a value"),
        "flow": Field(OBJ.or_none(), "for a task, the flow it runs in"),
        "max_retries": Field(INT, "how many retries it allows"),
        "map_index": Field(INT.or_none(), "which of the mapped children it is"),
        "url": Field(STR, "where a person can look at the run"),
        "started_at": Field(DATETIME.or_none(), "when the run began to work; none when unknown"),
        "log": Field(STRINGS, "the last lines that the run logged; empty when the source does not tell"),
    }
)

EVENT_MODEL = Model(
    "Event",
    "the transition itself",
    fields={
        "id": Field(STR, "identifies the transition; the same id twice is the same transition"),
        "source": Field(STR, "where it came from"),
        "occurred_at": Field(DATETIME, "when it happened"),
    },
)

STATE, EVENT = Ty("model", STATE_MODEL), Ty("model", EVENT_MODEL)

STR_METHODS: Mapping[str, Method] = {
    **{name: Method(BOOL, 1, 1) for name in ("startswith", "endswith")},
    **{name: Method(STR) for name in ("lower", "upper", "strip", "title", "capitalize")},
}
DICT_METHODS: Mapping[str, Method] = {"get": Method(ANY, 1, 2)}


@dataclass(frozen=True, slots=True)
class Root:
    """A name expressions and templates start from: its type, and the Python that reads it from transition ``e``."""

    ty: Ty
    read: str
    doc: str


def roots(on: Literal["task", "flow"] | None = None) -> dict[str, Root]:
    """The names in scope for a handler declared ``on`` tasks, flows or (``None``) both.

    ``task`` may be ``None`` unless the handler is for tasks only; with ``on = "flow"`` it is out of scope.
    """
    scope = {
        "obj": Root(OBJ, "e.obj", "the task or flow that changed"),
        "task": Root(OBJ if on == "task" else OBJ.or_none(), "e.task", "the task that changed; none for a flow"),
        "flow": Root(OBJ, "e.flow", "the flow that changed, or the task's flow"),
        "state": Root(STATE, "e.state", "the new state"),
        "new_state": Root(STATE, "e.state", "the new state"),
        "old_state": Root(STATE.or_none(), "e.old_state", "the state before; none when the source does not tell"),
        "event": Root(EVENT, "e", "the transition itself"),
    }
    if on == "flow":
        del scope["task"]
    return scope


READERS: Mapping[str, Any] = {
    "_text": text_of,
    "_plain": plain,
    **{f"_{name.upper()}": types for name, types in PREDICATES.items()},
}
"""The names that ``read`` and ``code`` above may use, beside Python's operators."""
