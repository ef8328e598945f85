"""Expressions: from the text of ``when`` (and the sugar beside it) to a check of transitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

from jinja2 import nodes

from gateway.errors import LanguageError
from gateway.inprocess import observe
from gateway.rules.lowering import Lowered, Lowering, prologue
from gateway.rules.needs import ALL_CELLS, KIND_CELLS, Need, need_of
from gateway.rules.nothing import BUILTINS
from gateway.rules.reads import NO_READS, may_read, reads_of
from gateway.rules.schema import Root, roots
from gateway.rules.sugar import Sugar
from gateway.rules.syntax import error_at, operands, parse_expression
from gateway.rules.tokens import ExpressionEnvironment, conjuncts
from gateway.states import State
from gateway.transition import Kind, Obj, Transition

LONGEST = 4_000
"""Characters of an expression."""

REMEMBERED = 32_768
"""Compiled checks kept, so that a reload compiles only what changed."""

NO_SUGAR = Sugar()

_UNKNOWN: dict[Kind, Obj] = {"task": Obj("task", ""), "flow": Obj("flow", "")}
_SCOPES: dict[Kind | None, dict[str, Root]] = {on: roots(on) for on in (None, "task", "flow")}
_environment = ExpressionEnvironment()


@dataclass(frozen=True, slots=True)
class Condition:
    """One of the conditions that must all hold: how it is computed, what it needs, and what it reads to be fetched."""

    lowered: Lowered
    need: Need
    reads: frozenset[str] = NO_READS


class Check:
    """A compiled condition on transitions. Pickles as its source.

    Attributes:
        source: the text of ``when``; ``None`` if there is none.
        on: ``"task"`` or ``"flow"`` if only their transitions count.
        sugar: the conditions beside it.
        parts: what must all hold, in order.
        need: what a transition must have for all of it to hold; what the index goes by.
    """

    __slots__ = ("_run", "need", "on", "parts", "source", "sugar")

    def __init__(self, source: str | None, on: Kind | None, sugar: Sugar, parts: tuple[Condition, ...]) -> None:
        self.source, self.on, self.sugar, self.parts = source, on, sugar, parts
        needs = (part.need for part in parts)
        self.need = reduce(Need.both, needs, Need(exact=True)).within(KIND_CELLS[on] if on else ALL_CELLS)
        self._run: Callable[[Transition], Any] | None = None

    @property
    def code(self) -> str:
        """The condition as one Python expression."""
        return " and ".join(part.lowered.text for part in self.parts) or "True"

    @property
    def reads(self) -> frozenset[str]:
        """What it reads that a source may have to fetch."""
        return NO_READS.union(*(part.reads for part in self.parts))

    def __call__(self, state: Any) -> bool:
        """Whether it holds for a new state, ours or Prefect 1's, of which nothing else is known."""
        known = state if isinstance(state, State) else observe(self, None, state).state
        return self.holds(Transition.of(_UNKNOWN[self.on or "task"], None, known))

    def holds(self, transition: Transition) -> bool:
        """Whether it holds; raises what the expression raises."""
        if self.on is not None and transition.kind != self.on:
            return False
        if self._run is None:
            self._run = compile_function(self.code, [part.lowered for part in self.parts])
        return bool(self._run(transition))

    def conditions(self) -> list[tuple[str, Check]]:
        """The conditions all of which must hold, each as it is written, with a check of its own."""
        on = [(f'on = "{self.on}"', Check(None, self.on, NO_SUGAR, ()))] if self.on else []
        written = [text for text, _ in self.sugar.conditions(self.on)]
        sugar = [
            (text, Check(None, self.on, NO_SUGAR, (part,))) for text, part in zip(written, self.parts, strict=False)
        ]
        source = [(" ".join(text.split()), compile_check(text, on=self.on)) for text in self._written()]
        return [*on, *sugar, *source]

    def _written(self) -> list[str]:
        """The texts that the outermost ``and`` of ``when`` joins."""
        if self.source is None:
            return []
        return conjuncts(self.source) if isinstance(_parsed(self.source), nodes.And) else [self.source]

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
    check = Check(source, on, sugar, tuple(_conditions(source, on, sugar)))
    if not check.need.possible:
        raise LanguageError("can never match: no transition meets all its conditions")
    return check


def restored(source: str | None, on: Kind | None, sugar: Sugar) -> Check:
    """The check that was pickled."""
    return compile_check(source, on=on, sugar=sugar)


def compile_value(source: str, *, on: Kind | None = None) -> Callable[[Transition], Any]:
    """The value of an expression, whatever its type, as a function of transitions (of kind ``on``, if given).

    Raises:
        LanguageError: the expression is wrong.
    """
    lowered = lowered_in(_SCOPES[on], source)
    return compile_function(lowered.text, [lowered])


def lowered_in(scope: Mapping[str, Root], source: str) -> Lowered:
    """The expression ``source`` over the names of ``scope``, as Python.

    Raises:
        LanguageError: it is wrong, or has no value that can be handed on.
    """
    expression = _parsed(source)
    lowered = Lowering(scope, source).lower(expression)
    if lowered.ty.name == "model":
        raise error_at(expression, f"a whole {lowered.ty} is no value; pick an attribute, such as .name")
    return lowered


def compile_function(code: str, parts: list[Lowered]) -> Callable[[Any], Any]:
    """A function of what ``e`` stands for, a transition or an event, that evaluates ``code``, made of ``parts``."""
    namespace = dict(BUILTINS)
    for part in parts:
        namespace.update(part.names)
    exec(compile(f"def run(e):\n{prologue(parts)} return {code}\n", "<when>", "exec"), namespace)
    return namespace["run"]  # type: ignore[no-any-return]


def _conditions(source: str | None, on: Kind | None, sugar: Sugar) -> Iterator[Condition]:
    """Every part of the check: first the sugar's, which no limit is set for, then those of ``when``."""
    scope = _SCOPES[on]
    for _, expression in sugar.conditions(on):
        yield Condition(Lowering(scope, limited=False).lower(expression), need_of(expression))
    if source is not None:
        expression, lowering = _parsed(source), Lowering(scope, source)
        reads = may_read(source)
        for part in operands(expression) if isinstance(expression, nodes.And) else [expression]:
            yield Condition(lowering.lower(part), need_of(part), reads_of([part]) if reads else NO_READS)


def _parsed(source: str) -> nodes.Expr:
    if len(source) > LONGEST:
        raise LanguageError(f"longer than {LONGEST:,} characters")
    return parse_expression(_environment, source)
