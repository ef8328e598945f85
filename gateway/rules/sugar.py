"""Sugar: the common conditions of a handler as keys of their own, and the expressions they stand for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce

from jinja2 import nodes

from gateway.errors import LanguageError
from gateway.spelling import nearest
from gateway.states import PREDICATES, STATES
from gateway.transition import Kind

_WILD = re.compile(r"[*?[]")
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


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

    def conditions(self, on: Kind | None = None) -> Iterator[tuple[str, nodes.Expr]]:
        """Each condition as it is written, with the expression it stands for.

        Raises:
            LanguageError: a state does not exist, or a task is wanted of a handler for flows.
        """
        if self.state:
            yield _written("state", self.state), _one_of(_path("state", "type"), _family(self.state))
        if self.flow:
            yield _written("flow", self.flow), _fits(_path("flow", "name"), self.flow)
        if self.task and on == "flow":
            raise LanguageError('can never match: with on = "flow" there is no task')
        if self.task:
            yield _written("task", self.task), _fits(_path("task", "name"), self.task)
        if self.tags_any:
            yield _written("tags.any", self.tags_any), _any(map(_tagged, self.tags_any))
        for glob in self.tags_all:
            yield _written("tags.all", (glob,)), _tagged(glob)
        for glob in self.tags_none:
            yield _written("tags.none", (glob,)), nodes.Not(_tagged(glob), lineno=1)


def _written(key: str, values: Iterable[str]) -> str:
    return f"{key} = {', '.join(values)}"


def _family(names: Iterable[str]) -> list[str]:
    """The types meant by ``names``: what the predicate of that name holds for, else the state and its subclasses."""
    meant: set[str] = set()
    for name in names:
        if name not in STATES:
            raise LanguageError(f"there is no state {name!r}", hint=nearest(name, STATES))
        root = STATES[name]
        subclasses = {kind for kind, cls in STATES.items() if issubclass(cls, root)}
        meant |= PREDICATES.get(_CAPITAL.sub("_", name).lower(), subclasses)
    return sorted(meant)


def _fits(name: nodes.Expr, globs: Iterable[str]) -> nodes.Expr:
    """That ``name`` is one of the plain names or fits one of the globs."""
    plain = [glob for glob in globs if not _WILD.search(glob)]
    wild = [_test(name, "glob", glob) for glob in globs if _WILD.search(glob)]
    return _any([_one_of(name, plain), *wild] if plain else wild)


def _tagged(glob: str) -> nodes.Expr:
    tags = _path("obj", "tags")
    if not _WILD.search(glob):
        return _compare(_const(glob), "in", tags)
    return nodes.Filter(tags, "select", [_const("glob"), _const(glob)], [], None, None, lineno=1)


def _any(parts: Iterable[nodes.Expr]) -> nodes.Expr:
    return reduce(lambda left, right: nodes.Or(left, right, lineno=1), parts)


def _one_of(value: nodes.Expr, texts: list[str]) -> nodes.Expr:
    return _compare(value, "in", nodes.List([*map(_const, texts)], lineno=1))


def _compare(left: nodes.Expr, op: str, right: nodes.Expr) -> nodes.Expr:
    return nodes.Compare(left, [nodes.Operand(op, right, lineno=1)], lineno=1)


def _test(value: nodes.Expr, name: str, argument: str) -> nodes.Expr:
    return nodes.Test(value, name, [_const(argument)], [], None, None, lineno=1)


def _path(root: str, attribute: str) -> nodes.Expr:
    return nodes.Getattr(nodes.Name(root, "load", lineno=1), attribute, "load", lineno=1)


def _const(value: str) -> nodes.Const:
    return nodes.Const(value, lineno=1)
