"""Needs: what a transition must certainly have for an expression to hold.

A need is a necessary condition, worked out bottom-up: the cells (state type and kind of object) it
can hold in, and for some fields the only values they can have. The index files expressions by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from jinja2 import nodes

from gateway.states import PREDICATES, STATES
from gateway.transition import Kind

KINDS: tuple[Kind, ...] = ("task", "flow")

CELLS: Mapping[tuple[str, Kind], int] = {
    (state, kind): number for number, (state, kind) in enumerate((s, k) for s in STATES for k in KINDS)
}
"""A number for every pair of a new state's type and an object's kind: a bit in a mask."""

ALL_CELLS = (1 << len(CELLS)) - 1
KIND_CELLS: Mapping[Kind, int] = {
    kind: sum(1 << number for (_, of), number in CELLS.items() if of == kind) for kind in KINDS
}
TYPE_CELLS: Mapping[str, int] = {
    state: sum(1 << number for (of, _), number in CELLS.items() if of == state) for state in STATES
}

FIELDS: Mapping[str, str] = {
    "obj.name": "obj.name",
    "task.name": "task.name",
    "flow.name": "flow.name",
    "obj.tags": "obj.tags",
    "task.tags": "obj.tags",
    "flow.tags": "flow.tags",
}
"""Paths an expression may use → the field the index looks them up by. A task's tags are its obj's."""

NAMES = frozenset({"obj.name", "task.name", "flow.name"})
PREFIXED = "flow.name"
"""The field that is also looked up by the beginnings of its value."""

_WILD = "*?["


@dataclass(frozen=True, slots=True)
class Need:
    """A necessary condition.

    Attributes:
        cells: a mask of the cells it can hold in.
        values: for a field, the only values (or, of tags, some one of which) it can hold with.
        prefixes: what the flow's name can begin with; ``None`` for anything.
        exact: the mask alone says all there is, so that its complement is the need of the negation.
    """

    cells: int = ALL_CELLS
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    prefixes: frozenset[str] | None = None
    exact: bool = False

    def within(self, cells: int) -> Need:
        """The same, in some cells only."""
        return Need(self.cells & cells, self.values, self.prefixes, self.exact)

    def both(self, other: Need) -> Need:
        """The need of ``self and other``: either of two sets of values will do, so the smaller is kept."""
        values = dict(self.values)
        for name, allowed in other.values.items():
            mine = values.get(name, allowed)
            values[name] = (
                mine if name.endswith("tags") and len(mine) <= len(allowed) else _narrower(name, mine, allowed)
            )
        return Need(self.cells & other.cells, values, self.prefixes or other.prefixes, self.exact and other.exact)

    def either(self, other: Need) -> Need:
        """The need of ``self or other``."""
        shared = self.values.keys() & other.values.keys()
        prefixes = self.prefixes | other.prefixes if self.prefixes and other.prefixes else None
        values = {name: self.values[name] | other.values[name] for name in shared}
        return Need(self.cells | other.cells, values, prefixes, self.exact and other.exact)


def _narrower(name: str, mine: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    return other if name.endswith("tags") else mine & other


ANYTHING = Need()


def need_of(node: nodes.Node) -> Need:
    """The need of a parsed expression."""
    match node:
        case nodes.And():
            return need_of(node.left).both(need_of(node.right))
        case nodes.Or():
            return need_of(node.left).either(need_of(node.right))
        case nodes.Not():
            inner = need_of(node.node)
            return Need(ALL_CELLS & ~inner.cells, exact=True) if inner.exact else ANYTHING
        case nodes.Compare(ops=[operand]):
            return _need_of_comparison(node.expr, operand)
        case nodes.Test():
            return _need_of_test(node)
        case nodes.Call(node=nodes.Getattr() as method):
            return _need_of_call(method, node.args)
    return ANYTHING


def _need_of_comparison(left: nodes.Expr, operand: nodes.Operand) -> Need:
    path, value = _path(left), _constant(operand.expr)
    if operand.op in ("ne", "notin") and path in ("state.type", "obj.kind"):
        allowed = _values(operand.op == "ne", value)
        return ANYTHING if allowed is None else Need(ALL_CELLS & ~_mask(path, allowed), exact=True)
    if operand.op == "in" and isinstance(left, nodes.Const) and isinstance(left.value, str):
        tags = FIELDS.get(_path(operand.expr) or "", "")
        return Need(values={tags: frozenset({left.value})}) if tags.endswith("tags") else ANYTHING
    if operand.op not in ("eq", "in"):
        return ANYTHING
    allowed = _values(operand.op == "eq", value)
    if allowed is None or path is None:
        return ANYTHING
    if path in ("state.type", "obj.kind"):
        return Need(_mask(path, allowed), exact=True)
    return Need(values={path: allowed}) if path in NAMES else ANYTHING


def _values(single: bool, value: Any) -> frozenset[str] | None:
    """The texts a comparison allows; ``None`` when it is not about constant texts."""
    values = [value] if single else value
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        return None
    return frozenset(values)


def _mask(path: str, allowed: Iterable[str]) -> int:
    cells: Mapping[Any, int] = TYPE_CELLS if path == "state.type" else KIND_CELLS
    return reduce(int.__or__, (cells.get(value, 0) for value in allowed), 0)


def _need_of_test(node: nodes.Test) -> Need:
    path = _path(node.node)
    if path == "state":
        return _need_of_state(node.name)
    if node.name == "glob" and path in NAMES and node.args and isinstance(node.args[0], nodes.Const):
        return _need_of_prefix(path, _before_wildcard(str(node.args[0].value)))
    return ANYTHING


def _need_of_call(method: nodes.Getattr, arguments: list[nodes.Expr]) -> Need:
    path = _path(method.node)
    if path == "state" and method.attr.startswith("is_"):
        return _need_of_state(method.attr.removeprefix("is_"))
    if method.attr == "startswith" and path and len(arguments) == 1 and isinstance(arguments[0], nodes.Const):
        return _need_of_prefix(path, str(arguments[0].value))
    return ANYTHING


def _need_of_state(predicate: str) -> Need:
    if predicate == "final":
        return Need(_mask("state.type", PREDICATES["finished"] - PREDICATES["looped"]))
    types = PREDICATES.get(predicate)
    return ANYTHING if types is None else Need(_mask("state.type", types), exact=True)


def _need_of_prefix(path: str, prefix: str) -> Need:
    return Need(prefixes=frozenset({prefix})) if path == PREFIXED and prefix else ANYTHING


def _before_wildcard(glob: str) -> str:
    return glob[: min((at for at in map(glob.find, _WILD) if at >= 0), default=len(glob))]


def _path(node: nodes.Node) -> str | None:
    """``flow.name`` for the node that reads it; the new state has two names."""
    if isinstance(node, nodes.Name):
        return "state" if node.name == "new_state" else node.name
    if isinstance(node, nodes.Getattr):
        owner = _path(node.node)
        return owner and f"{owner}.{node.attr}"
    return None


def _constant(node: nodes.Node) -> Any:
    """The value of a literal, lists included; ``None`` for anything else."""
    if isinstance(node, nodes.Const):
        return node.value
    if isinstance(node, (nodes.List, nodes.Tuple)) and all(isinstance(item, nodes.Const) for item in node.items):
        return [item.value for item in node.items if isinstance(item, nodes.Const)]
    return None
