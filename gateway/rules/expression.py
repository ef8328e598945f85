"""Expressions: from the text of ``when`` (and the sugar beside it) to a check of transitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

from jinja2 import nodes

from gateway.errors import LanguageError
from gateway.rules.lowering import BUILTINS, Lowered, lower, prologue
from gateway.rules.needs import ALL_CELLS, KIND_CELLS, Need, need_of
from gateway.rules.schema import roots
from gateway.rules.syntax import parse_expression
from gateway.rules.tokens import ExpressionEnvironment
from gateway.states import STATES, State
from gateway.transition import Kind, Obj, Transition

LONGEST = 4_000
"""Characters of an expression."""

REMEMBERED = 65_536
"""Compiled checks kept, so that a reload compiles only what changed."""

_GLOB = re.compile(r"[*?[]")
_UNKNOWN: dict[Kind, Obj] = {"task": Obj("task", ""), "flow": Obj("flow", "")}
_environment = ExpressionEnvironment()


@dataclass(frozen=True, slots=True)
class Sugar:
    """The common conditions of a handler, written without an expression. Empty means no condition.

    Attributes:
        state: types the new state is of; ``Failed`` stands for every kind of failure, as ``state is failed``.
        flow: globs, one of which the flow's name fits.
        task: globs, one of which the task's name fits.
        tags_any: globs, one of which some tag fits.
        tags_all: globs, each of which some tag fits.
        tags_none: globs, none of which any tag fits.
    """

    state: tuple[str, ...] = ()
    flow: tuple[str, ...] = ()
    task: tuple[str, ...] = ()
    tags_any: tuple[str, ...] = ()
    tags_all: tuple[str, ...] = ()
    tags_none: tuple[str, ...] = ()

    def conditions(self) -> Iterator[tuple[str, nodes.Expr]]:
        """Each condition as it is written, with the expression it stands for."""
        if self.state:
            family = [name for name, cls in STATES.items() if any(issubclass(cls, STATES[root]) for root in self.state)]
            yield (
                _written("state", self.state),
                _compare(_path("state", "type"), "in", nodes.List([*map(_const, family)])),
            )
        if self.flow:
            yield _written("flow", self.flow), _any(_fits(_path("flow", "name"), glob) for glob in self.flow)
        if self.task:
            yield _written("task", self.task), _any(_fits(_path("task", "name"), glob) for glob in self.task)
        if self.tags_any:
            yield _written("tags.any", self.tags_any), _any(_tagged(glob) for glob in self.tags_any)
        for glob in self.tags_all:
            yield _written("tags.all", (glob,)), _tagged(glob)
        for glob in self.tags_none:
            yield _written("tags.none", (glob,)), nodes.Not(_tagged(glob))


NO_SUGAR = Sugar()


class Check:
    """A compiled condition on transitions. Pickles as its source.

    Attributes:
        source: the text of ``when``; ``None`` if there is none.
        on: ``"task"`` or ``"flow"`` if only their transitions count.
        sugar: the conditions beside it.
        need: what a transition must have for the condition to hold; what the index goes by.
        lowered: the condition as a Python expression.
    """

    __slots__ = ("_run", "lowered", "need", "on", "source", "sugar")

    def __init__(self, source: str | None, on: Kind | None, sugar: Sugar, need: Need, lowered: Lowered) -> None:
        self.source, self.on, self.sugar, self.need, self.lowered = source, on, sugar, need, lowered
        self._run: Callable[[Transition], Any] | None = None

    def __call__(self, state: State) -> bool:
        """Whether it holds for a new state of which nothing else is known: ``callback_factory``'s ``check``."""
        return self.holds(Transition.of(_UNKNOWN[self.on or "task"], None, state))

    def holds(self, transition: Transition) -> bool:
        """Whether it holds; raises what the expression raises."""
        if self.on is not None and transition.kind != self.on:
            return False
        if self._run is None:
            self._run = compile_function(self.lowered)
        return bool(self._run(transition))

    def conditions(self) -> list[tuple[str, Check]]:
        """The conditions all of which must hold, each as written with a check of its own."""
        parts = [*self.sugar.conditions(), *_conjuncts(self.source)]
        found = [(text, _check_of(node, self.source or "", self.on)) for text, node in parts]
        if self.on is not None:
            found.insert(0, (f'on = "{self.on}"', _check_of(nodes.Const(True), "", self.on)))
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return restored, (self.source, self.on, self.sugar)

    def __repr__(self) -> str:
        return f"<Check {self.source!r}>"


@lru_cache(REMEMBERED)
def compile_check(source: str | None, *, on: Kind | None = None, sugar: Sugar = NO_SUGAR) -> Check:
    """The check that ``source`` and ``sugar`` are, both of which must hold.

    Args:
        source: a Jinja2 expression; ``None`` for no condition.
        on: only transitions of tasks or of flows; ``None`` for both.
        sugar: the conditions beside it.

    Raises:
        LanguageError: the expression is wrong, or can never hold.
    """
    parts = [node for _, node in sugar.conditions()]
    if source is not None:
        parts.append(_parsed(source))
    expression = reduce(nodes.And, parts) if parts else nodes.Const(True)
    check = _check_of(expression, source or "", on)
    if not check.need.cells:
        raise LanguageError("can never match: no state and kind of object meets all its conditions")
    return Check(source, on, sugar, check.need, check.lowered)


def restored(source: str | None, on: Kind | None, sugar: Sugar) -> Check:
    """The check that was pickled."""
    return compile_check(source, on=on, sugar=sugar)


def compile_value(source: str, *, on: Kind | None = None) -> Callable[[Transition], Any]:
    """The value of an expression, whatever its type, as a function of the transition.

    Raises:
        LanguageError: the expression is wrong.
    """
    return compile_function(lower(_parsed(source), roots(on), source))


def compile_function(lowered: Lowered) -> Callable[[Transition], Any]:
    """A function of a transition ``e`` that evaluates ``lowered``."""
    namespace = {**BUILTINS, **lowered.names}
    exec(
        compile(f"def run(e):\n{prologue(lowered.loads, lowered.lazy)} return {lowered.text}\n", "<when>", "exec"),
        namespace,
    )
    return namespace["run"]  # type: ignore[no-any-return]


def _parsed(source: str) -> nodes.Expr:
    if len(source) > LONGEST:
        raise LanguageError(f"longer than {LONGEST} characters")
    return parse_expression(_environment, source)


def _check_of(expression: nodes.Expr, source: str, on: Kind | None) -> Check:
    lowered = lower(expression, roots(on), source)
    need = need_of(expression)
    cells = KIND_CELLS[on] if on else ALL_CELLS
    return Check(source, on, NO_SUGAR, need.within(cells), lowered)


# sugar as expressions


def _const(value: str) -> nodes.Const:
    return nodes.Const(value, lineno=1)


def _path(root: str, attribute: str) -> nodes.Getattr:
    return nodes.Getattr(nodes.Name(root, "load", lineno=1), attribute, "load", lineno=1)


def _compare(left: nodes.Expr, op: str, right: nodes.Expr) -> nodes.Compare:
    return nodes.Compare(left, [nodes.Operand(op, right, lineno=1)], lineno=1)


def _any(parts: Iterable[nodes.Expr]) -> nodes.Expr:
    return reduce(nodes.Or, parts)


def _fits(name: nodes.Expr, glob: str) -> nodes.Expr:
    if _GLOB.search(glob):
        return nodes.Test(name, "glob", [_const(glob)], [], None, None, lineno=1)
    return _compare(name, "eq", _const(glob))


def _tagged(glob: str) -> nodes.Expr:
    tags = _path("obj", "tags")
    if not _GLOB.search(glob):
        return _compare(_const(glob), "in", tags)
    matching = nodes.Filter(tags, "select", [_const("glob"), _const(glob)], [], None, None, lineno=1)
    return nodes.Filter(matching, "length", [], [], None, None, lineno=1)


def _written(key: str, values: Sequence[str]) -> str:
    return f"{key} = {', '.join(values)}"


# an expression as the conditions it joins


def _conjuncts(source: str | None) -> list[tuple[str, nodes.Expr]]:
    """The parts of ``source`` that its outermost ``and`` joins, each with its text."""
    if source is None:
        return []
    parts: list[nodes.Expr] = []
    _split(_parsed(source), parts)
    starts = [_offset(source, _leftmost(part)) for part in parts]
    ends = [*starts[1:], len(source)]
    return [(_tidy(source[start:end]), part) for start, end, part in zip(starts, ends, parts, strict=True)]


def _split(node: nodes.Expr, parts: list[nodes.Expr]) -> None:
    if isinstance(node, nodes.And):
        _split(node.left, parts)
        _split(node.right, parts)
    else:
        parts.append(node)


def _leftmost(node: nodes.Node) -> nodes.Node:
    """The node that is written first."""
    for attribute in ("left", "expr", "expr1", "node"):
        child = getattr(node, attribute, None)
        if isinstance(child, nodes.Node) and not isinstance(node, nodes.Not):
            return _leftmost(child)
    return node


def _offset(source: str, node: nodes.Node) -> int:
    lines = source.split("\n")[: node.lineno - 1]
    return sum(len(line) + 1 for line in lines) + getattr(node.lineno, "column", 1) - 1


def _tidy(text: str) -> str:
    """A part as it was written, without the ``and`` and the parentheses that belong to its neighbours."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"[\s(]*\band[\s(]*$", "", text)
    missing = text.count(")") - text.count("(")
    return "(" * max(0, missing) + text
