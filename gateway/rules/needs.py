"""Needs: what a transition must certainly have for an expression to hold.

A need is a necessary condition, worked out bottom-up: the cells (state type and kind of object) it
can hold in, and for some fields the only values they can have. The index files expressions by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, reduce
from typing import Any

from jinja2 import nodes

from gateway.rules.syntax import operands
from gateway.states import PREDICATES, STATES
from gateway.transition import Kind

KINDS: tuple[Kind, ...] = ("task", "flow")

CELLS: Mapping[tuple[str, Kind], int] = {
    (state, kind): number for number, (state, kind) in enumerate((s, k) for s in STATES for k in KINDS)
}
"""A number for every pair of a new state's type and an object's kind: a bit in a mask."""

ALL_CELLS = (1 << len(CELLS)) - 1
KIND_CELLS: Mapping[str, int] = {
    kind: sum(1 << number for (_, of), number in CELLS.items() if of == kind) for kind in KINDS
}
TYPE_CELLS: Mapping[str, int] = {
    state: sum(1 << number for (of, _), number in CELLS.items() if of == state) for state in STATES
}

READS: Mapping[tuple[str, ...], str] = {
    ("obj", "name"): "e.obj.name",
    ("task", "name"): "e.obj.name",
    ("flow", "name"): "e.flow.name",
    ("obj", "tags"): "e.obj.tags",
    ("task", "tags"): "e.obj.tags",
    ("flow", "tags"): "e.flow.tags",
    ("event", "source"): "e.source",
}
"""Paths the index can file by, and the Python that reads them of transition ``e``. A task is its transition's obj."""

TAGS = frozenset({"e.obj.tags", "e.flow.tags"})
"""Reads that give many texts, not one."""

_MASKS: Mapping[tuple[str, ...], Mapping[str, int]] = {("state", "type"): TYPE_CELLS, ("obj", "kind"): KIND_CELLS}
_WILD = "*?["


@dataclass(frozen=True, slots=True)
class Texts:
    """A set of texts: some by name, and all that begin in certain ways. None of either is covered by another."""

    values: frozenset[str] = frozenset()
    prefixes: frozenset[str] = frozenset()

    @classmethod
    def of(cls, values: Iterable[str] = (), prefixes: Iterable[str] = ()) -> Texts:
        """The set of these, each kept once."""
        shortest: list[str] = []
        for prefix in sorted(prefixes, key=len):
            if not prefix.startswith(tuple(shortest)):
                shortest.append(prefix)
        return cls(frozenset(v for v in values if not v.startswith(tuple(shortest))), frozenset(shortest))

    def __contains__(self, text: str) -> bool:
        return text in self.values or self._begins(text)

    def __or__(self, other: Texts) -> Texts:
        return Texts.of(self.values | other.values, self.prefixes | other.prefixes)

    def __and__(self, other: Texts) -> Texts:
        values = (value for value in self.values | other.values if value in self and value in other)
        prefixes = (text for text in self.prefixes | other.prefixes if self._begins(text) and other._begins(text))
        return Texts.of(values, prefixes)

    def __len__(self) -> int:
        return len(self.values) + len(self.prefixes)

    def _begins(self, text: str) -> bool:
        return text.startswith(tuple(self.prefixes))


@dataclass(frozen=True, slots=True)
class Need:
    """A necessary condition.

    Attributes:
        cells: a mask of the cells it can hold in.
        texts: for a field (by how it is read), the only values it can hold with; of tags, one of them must be there.
        exact: the mask alone says all there is, so that its complement is the need of the negation.
    """

    cells: int = ALL_CELLS
    texts: Mapping[str, Texts] = field(default_factory=dict)
    exact: bool = False

    @property
    def possible(self) -> bool:
        """Whether any transition can have it."""
        return self.cells != 0 and all(self.texts.values())

    def within(self, cells: int) -> Need:
        """The same, in some cells only."""
        return Need(self.cells & cells, self.texts, self.exact)

    def both(self, other: Need) -> Need:
        """The need of ``self and other``."""
        texts = {**self.texts, **other.texts}
        for read in self.texts.keys() & other.texts.keys():
            mine, theirs = self.texts[read], other.texts[read]
            texts[read] = min(mine, theirs, key=len) if read in TAGS else mine & theirs
        return Need(self.cells & other.cells, texts, self.exact and other.exact)

    def either(self, other: Need) -> Need:
        """The need of ``self or other``; where one of them is impossible, the other's."""
        if not self.possible or not other.possible:
            left = other if other.possible else self
            return Need(left.cells, left.texts)
        texts = {read: self.texts[read] | other.texts[read] for read in self.texts.keys() & other.texts.keys()}
        return Need(self.cells | other.cells, texts, self.exact and other.exact)


ANYTHING = Need()


def need_of(node: nodes.Node) -> Need:
    """The need of a parsed expression."""
    match node:
        case nodes.And():
            return reduce(Need.both, map(need_of, operands(node)))
        case nodes.Or():
            return reduce(Need.either, map(need_of, operands(node)))
        case nodes.Not():
            inner = need_of(node.node)
            return Need(ALL_CELLS & ~inner.cells, exact=True) if inner.exact else ANYTHING
        case nodes.Const():
            return Need(ALL_CELLS if node.value else 0, exact=True)
        case nodes.Name(name="task"):
            return Need(KIND_CELLS["task"], exact=True)
        case nodes.Compare(ops=[operand]):
            return _of_comparison(node.expr, operand)
        case nodes.Test():
            return _of_test(node)
        case nodes.Call(node=nodes.Getattr() as method):
            return _of_call(method, node.args)
    return ANYTHING


def _of_comparison(left: nodes.Expr, operand: nodes.Operand) -> Need:
    if operand.op == "in" and isinstance(left, nodes.Const):
        return _of_tag(path_of(operand.expr), left.value)
    if operand.op == "eq" and isinstance(left, nodes.Const):
        left, operand = operand.expr, nodes.Operand("eq", left)
    path, values = path_of(left), _texts(operand)
    if path is None or values is None:
        return ANYTHING
    if path in _MASKS:
        cells = _mask(_MASKS[path], values)
        return Need(ALL_CELLS & ~cells if operand.op in ("ne", "notin") else cells, exact=True)
    return _of_field(path, Texts.of(values)) if operand.op in ("eq", "in") else ANYTHING


def _of_tag(path: tuple[str, ...] | None, tag: object) -> Need:
    if path is None or READS.get(path) not in TAGS or not isinstance(tag, str):
        return ANYTHING
    return _of_field(path, Texts.of([tag]))


def _of_field(path: tuple[str, ...], texts: Texts) -> Need:
    """What holds only if the field at ``path`` has one of ``texts``; there is a task only in a task's transition."""
    cells = KIND_CELLS["task"] if path[0] == "task" else ALL_CELLS
    read = _read(path)
    return Need(cells, {} if read is None or "" in texts.prefixes else {read: texts})


def _read(path: tuple[str, ...]) -> str | None:
    match path:
        case ("obj" | "task", "labels", label):
            return f"label(e.obj.labels, {label!r})"
        case ("flow", "labels", label):
            return f"label(e.flow.labels, {label!r})"
    return READS.get(path)


def _of_test(node: nodes.Test) -> Need:
    path = path_of(node.node)
    if path is None:
        return ANYTHING
    if path == ("state",):
        return _of_state(node.name)
    if path == ("task",) and node.name == "none":
        return Need(KIND_CELLS["flow"], exact=True)
    if node.name == "glob" and (pattern := _one_text(node.args)) is not None:
        return _of_field(path, _globbed(pattern)) if READS.get(path) not in TAGS else ANYTHING
    return ANYTHING


def _of_call(method: nodes.Getattr, arguments: list[nodes.Expr]) -> Need:
    path = path_of(method.node)
    if path == ("state",) and method.attr.startswith("is_"):
        return _of_state(method.attr.removeprefix("is_"))
    if path is not None and method.attr == "startswith" and (prefix := _one_text(arguments)) is not None:
        return _of_field(path, Texts.of(prefixes=[prefix]))
    return ANYTHING


@cache
def _of_state(predicate: str) -> Need:
    if predicate == "final":
        return Need(_mask(TYPE_CELLS, PREDICATES["finished"] - PREDICATES["looped"]))
    types = PREDICATES.get(predicate)
    return ANYTHING if types is None else Need(_mask(TYPE_CELLS, types), exact=True)


def _mask(cells: Mapping[str, int], values: Iterable[str]) -> int:
    return reduce(int.__or__, (cells.get(value, 0) for value in values), 0)


def _globbed(glob: str) -> Texts:
    wild = [at for at in map(glob.find, _WILD) if at >= 0]
    return Texts.of(prefixes=[glob[: min(wild)]]) if wild else Texts.of([glob])


def path_of(node: nodes.Node) -> tuple[str, ...] | None:
    """``("flow", "name")`` for the node that reads it; the new state has two names."""
    match node:
        case nodes.Name():
            return ("state" if node.name == "new_state" else node.name,)
        case nodes.Getattr():
            key = node.attr
        case nodes.Getitem(arg=nodes.Const(value=str() as key)):
            pass
        case _:
            return None
    owner = path_of(node.node)
    return None if owner is None else (*owner, key)


def _texts(operand: nodes.Operand) -> list[str] | None:
    """The texts a comparison is with; ``None`` if it is with anything but constant texts."""
    match operand.op, operand.expr:
        case "eq" | "ne", nodes.Const():
            items: list[Any] = [operand.expr]
        case "in" | "notin", nodes.List() | nodes.Tuple() as literal:
            items = literal.items
        case _:
            return None
    values = [item.value for item in items if isinstance(item, nodes.Const) and isinstance(item.value, str)]
    return values if len(values) == len(items) else None


def _one_text(arguments: list[nodes.Expr]) -> str | None:
    match arguments:
        case [nodes.Const(value=str() as text)]:
            return text
    return None
