"""What one transition costs with many handlers: our index, a list of lambdas, a list of Jinja's compiled expressions.

All three answer the same question about the same transitions, and their answers are compared first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

import jinja2

from benchmarks._population import Condition, conditions, transitions
from benchmarks._table import against, ratio, show
from benchmarks._timing import in_turns, timed
from gateway.rules.expression import compile_check
from gateway.rules.index import Index
from gateway.states import PREDICATES, State
from gateway.transition import Transition

SHARES = (0.0, 0.01, 0.1)
"""Of handlers that no index can help with."""

MOST_FOR_JINJA = 1_000
"""Conditions; for more, the cost is that of the first so many, in proportion."""

AIM_HANDLERS, AIM_SHARE, AIM_US = 10_000, 0.01, 5

Match = Callable[[Transition], list[int]]


@dataclass(frozen=True, slots=True)
class Costs:
    """Microseconds per transition; ``first``: the index on transitions whose like it has not seen."""

    matches: float
    first: float
    index: float
    lambdas: float
    jinja: float


def main(quick: bool = False) -> None:
    sizes, rounds = ((10, 100), 1) if quick else ((10, 100, 1_000, 10_000), 7)
    rows = [
        row(handlers, share, measure(handlers, share, rounds))
        for handlers in sizes
        for share in SHARES
        if not share or handlers * share >= 1
    ]
    show(
        "one transition, µs of processor time (~: in proportion, from 1,000 handlers)",
        (
            "handlers",
            "unindexable",
            "match",
            "index",
            "lambdas",
            "jinja",
            "lambdas/",
            "jinja/",
            "index at first",
            "aim",
        ),
        rows,
    )


def row(handlers: int, share: float, costs: Costs) -> tuple[str | float, ...]:
    aimed = (handlers, share) == (AIM_HANDLERS, AIM_SHARE)
    return (
        f"{handlers:,}",
        f"{share:.0%}",
        costs.matches,
        costs.index,
        costs.lambdas,
        f"{'~' if handlers > MOST_FOR_JINJA else ''}{costs.jinja:,.0f}",
        ratio(costs.lambdas, costs.index),
        ratio(costs.jinja, costs.index),
        costs.first,
        against(AIM_US, costs.index, "µs") if aimed else "",
    )


def measure(handlers: int, share: float, rounds: int) -> Costs:
    random = Random(handlers)
    written = conditions(handlers, round(handlers * share), random)
    asked = transitions(200, handlers, random)
    few = asked[: max(2, 20_000 // handlers)]  # for those that take long
    many = asked * 5
    index, lambdas = of_index(written), of_lambdas(written)
    jinja = of_jinja(written[:MOST_FOR_JINJA])
    first = timed(partial(ask, index, asked))[1].processor
    compare(index, lambdas, jinja, few)
    times = in_turns(
        {"index": partial(ask, index, many), "lambdas": partial(ask, lambdas, few), "jinja": partial(ask, jinja, few)},
        rounds,
    )
    return Costs(
        sum(len(index(one)) for one in asked) / len(asked),
        1e6 * first / len(asked),
        1e6 * times["index"].processor / len(many),
        1e6 * times["lambdas"].processor / len(few),
        1e6 * times["jinja"].processor / len(few) * max(1, handlers / MOST_FOR_JINJA),
    )


def ask(match: Match, asked: list[Transition]) -> None:
    for transition in asked:
        match(transition)


def compare(index: Match, lambdas: Match, jinja: Match, asked: list[Transition]) -> None:
    """All must say the same, or the figures mean nothing."""
    for transition in asked:
        found = index(transition)
        assert found == lambdas(transition)
        assert [position for position in found if position < MOST_FOR_JINJA] == jinja(transition)


def of_index(written: list[Condition]) -> Match:
    return Index([compile_check(condition.when) for condition in written]).match


def of_lambdas(written: list[Condition]) -> Match:
    checks = [eval(f"lambda e: {condition.python}") for condition in written]
    return lambda e: [position for position, check in enumerate(checks) if check(e)]


def of_jinja(written: list[Condition]) -> Match:
    environment = jinja2.Environment()
    environment.tests.update({name: is_one_of(types) for name, types in PREDICATES.items()})
    expressions = [environment.compile_expression(condition.when) for condition in written]

    def match(e: Transition) -> list[int]:
        names = {"state": e.state, "flow": e.flow, "task": e.task, "obj": e.obj}
        return [position for position, expression in enumerate(expressions) if expression(names)]

    return match


def is_one_of(types: frozenset[str]) -> Callable[[State], bool]:
    return lambda state: state.type in types


if __name__ == "__main__":
    main()
