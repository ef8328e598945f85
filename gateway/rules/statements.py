"""Statements of templates: text, ``{{ … }}``, ``{% if %}``, ``{% for %}`` and ``{% set %}`` become writers.

Checking goes on after a problem, so that one look at a template finds them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jinja2 import UndefinedError, nodes

from gateway.errors import LanguageError, RenderError
from gateway.rules.evaluator import Evaluator, Run, Typed
from gateway.rules.list_filters import items_of
from gateway.rules.operators import described, merged
from gateway.rules.schema import ANY, STR, Ty
from gateway.rules.scope import Scope
from gateway.rules.syntax import error_at
from gateway.rules.values import MissingKey, UnfitValue

Writer = Callable[[Scope], None]

MAX_LOOPS = 2
MAX_BLOCKS = 20
MAX_PROBLEMS = 20
LOOP = Ty("loop")


class Loop:
    """What ``loop`` tells inside a loop: which round it is, of how many."""

    __slots__ = ("index0", "length")

    def __init__(self, index0: int, length: int) -> None:
        self.index0, self.length = index0, length

    @property
    def index(self) -> int:
        """The round, from 1."""
        return self.index0 + 1

    @property
    def revindex(self) -> int:
        """How many rounds are left, this one included."""
        return self.length - self.index0

    @property
    def revindex0(self) -> int:
        """How many rounds are left after this one."""
        return self.length - self.index0 - 1

    @property
    def first(self) -> bool:
        """Whether this is the first round."""
        return self.index0 == 0

    @property
    def last(self) -> bool:
        """Whether this is the last round."""
        return self.index == self.length


class Statements:
    """Makes writers of the statements of one template; ``problems`` collects what is wrong."""

    def __init__(self, names: Mapping[str, Ty]) -> None:
        self.problems: list[LanguageError] = []
        self.evaluator = Evaluator(names)
        self._reserved = frozenset(names)
        self._loops = self._depth = 0

    def writer(self, body: Sequence[nodes.Node]) -> Writer:
        """Check and compile statements in a row."""
        if body and self._depth == MAX_BLOCKS:
            self._report(error_at(body[0], f"nested deeper than {MAX_BLOCKS} levels"))
            return lambda scope: None
        self._depth += 1
        writers = [writer for node in body for writer in self._statement(node)]
        self._depth -= 1
        if len(writers) == 1:
            return writers[0]

        def write(scope: Scope) -> None:
            for each in writers:
                each(scope)

        return write

    def _statement(self, node: nodes.Node) -> list[Writer]:
        match node:
            case nodes.Output():
                return [self._output(child) for child in node.nodes]
            case nodes.If():
                return [self._if(node)]
            case nodes.For():
                return [self._for(node)]
            case nodes.Assign():
                return [self._set(node)]
        self._report(error_at(node, f"{_tag(node)} is not part of the template language; it has if, for and set"))
        return []

    def _report(self, problem: LanguageError) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)

    def _checked(self, node: nodes.Node, *, printable: bool = False) -> Typed:
        """An expression; one that is wrong is reported and then taken for untyped, so that checking goes on."""
        try:
            return self.evaluator.printable(node) if printable else self.evaluator.expression(node)
        except LanguageError as problem:
            self._report(problem)
            return Typed(ANY, lambda scope: None)

    def _output(self, node: nodes.Node) -> Writer:
        if isinstance(node, nodes.TemplateData):
            text = node.data
            return lambda scope: scope.write(text)
        value = self._checked(node, printable=True).run
        return _located(node, lambda scope: scope.write_value(value(scope)))

    def _if(self, node: nodes.If) -> Writer:
        branches = [(self._condition(branch.test), self.writer(branch.body)) for branch in (node, *node.elif_)]
        otherwise = self.writer(node.else_)

        def write(scope: Scope) -> None:
            next((then for test, then in branches if test(scope)), otherwise)(scope)

        return write

    def _condition(self, node: nodes.Node) -> Run:
        return _located(node, self._checked(node).run)

    def _set(self, node: nodes.Assign) -> Writer:
        value = self._checked(node.node)
        if not isinstance(node.target, nodes.Name):
            self._report(error_at(node, "set gives one name a value"))
            return lambda scope: None
        name, run = self._declared(node.target, value.ty), value.run

        def assign(scope: Scope) -> None:
            scope.variables[name] = run(scope)

        return _located(node, assign)

    def _for(self, node: nodes.For) -> Writer:
        self._check_loop(node)
        items = self._checked(node.iter)
        if items.ty.name not in ("list", "dict", "any"):
            self._report(error_at(node.iter, f"{described(items.ty)} has nothing to loop over"))
        before = self.evaluator.count
        targets, keep, body = self._in_loop(node, items.ty)
        weight = 1 + self.evaluator.count - before
        otherwise = self.writer(node.else_)
        rounds = _located(node, _rounds(items.run, targets, keep))

        def write(scope: Scope) -> None:
            outer, found = scope.variables, rounds(scope)
            for index, names in enumerate(found):
                scope.spend(weight)
                scope.variables = {**outer, **names, "loop": Loop(index, len(found))}
                body(scope)
            scope.variables = outer
            if not found:
                otherwise(scope)

        return _located(node, write)

    def _check_loop(self, node: nodes.For) -> None:
        if node.recursive:
            self._report(error_at(node, "a loop cannot be recursive"))
        if self._loops == MAX_LOOPS:
            self._report(error_at(node, f"loops are nested at most {MAX_LOOPS} deep"))

    def _in_loop(self, node: nodes.For, items: Ty) -> tuple[list[str], Run | None, Writer]:
        """The names a loop sets each round, its condition, its body: checked where those names are known."""
        self.evaluator.scopes.append({"loop": LOOP})
        self._loops += 1
        targets = self._targets(node.target, STR if items.name == "dict" else items.item or ANY)
        keep = None if node.test is None else self._checked(node.test).run
        body = self.writer(node.body)
        self._loops -= 1
        self.evaluator.scopes.pop()
        return targets, keep, body

    def _targets(self, node: nodes.Node, item: Ty) -> list[str]:
        """The names of a loop's variables, declared."""
        if isinstance(node, nodes.Name):
            return [self._declared(node, item)]
        parts = node.items if isinstance(node, nodes.Tuple) else []
        return [self._declared(part, item.item or ANY) for part in parts if isinstance(part, nodes.Name)]

    def _declared(self, node: nodes.Name, ty: Ty) -> str:
        if node.name in self._reserved or node.name == "loop":
            self._report(error_at(node, f"the name {node.name!r} is taken; choose another"))
        known = self.evaluator.scopes[-1]
        known[node.name] = merged(known.get(node.name, ty), ty)
        return node.name


def _rounds(items: Run, targets: Sequence[str], keep: Run | None) -> Callable[[Scope], list[dict[str, Any]]]:
    """For each round of a loop, the names it sets."""

    def rounds(scope: Scope) -> list[dict[str, Any]]:
        value = items(scope)
        if isinstance(value, str):
            raise UnfitValue("text has nothing to loop over; use | lines or | split")
        named = [_named(item, targets) for item in items_of(value)]
        return named if keep is None else [names for names in named if _holds(scope, keep, names)]

    return rounds


def _named(item: Any, targets: Sequence[str]) -> dict[str, Any]:
    if len(targets) == 1:
        return {targets[0]: item}
    if not isinstance(item, list | tuple) or len(item) != len(targets):
        raise UnfitValue(f"an item of the loop is not a list of {len(targets)}")
    return dict(zip(targets, item, strict=True))


def _holds(scope: Scope, keep: Run, names: dict[str, Any]) -> bool:
    scope.spend(8)
    outer = scope.variables
    scope.variables = {**outer, **names}
    try:
        return bool(keep(scope))
    finally:
        scope.variables = outer


def _located(node: nodes.Node, run: Run) -> Run:
    """``run``, with every error told as a :class:`RenderError` that says where. No message holds a value."""
    line, column = int(node.lineno), getattr(node.lineno, "column", 1)

    def located(scope: Scope) -> Any:
        try:
            return run(scope)
        except RenderError:
            raise
        except MissingKey as error:
            raise RenderError(f"{line}:{column}: {error.message}") from error
        except Exception as error:
            raise RenderError(f"{line}:{column}: {_reason(error)}") from None

    return located


def _reason(error: Exception) -> str:
    if isinstance(error, UnfitValue | TypeError | ArithmeticError | UndefinedError):
        return str(error)
    return f"the value does not fit here ({type(error).__name__})"


_TAGS: Mapping[type[nodes.Node], str] = {
    nodes.CallBlock: "call",
    nodes.FilterBlock: "filter",
    nodes.FromImport: "from",
    nodes.AssignBlock: "set without =",
    nodes.Scope: "autoescape",
    nodes.ScopedEvalContextModifier: "autoescape",
    nodes.ExprStmt: "do",
}


def _tag(node: nodes.Node) -> str:
    return f"{{% {_TAGS.get(type(node), type(node).__name__.lower())} %}}"
