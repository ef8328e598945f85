"""A population as a large site might have it: conditions of handlers, and transitions of which each meets about two.

Each condition is written twice, for us and as the Python somebody would write instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from gateway.states import Failed, Retrying, Running, Success, TimedOut
from gateway.transition import Obj, Transition

HANDLERS_PER_FLOW = 5


@dataclass(frozen=True, slots=True)
class Condition:
    """The text of a ``when``, and the body of a Python lambda of a transition ``e`` that means the same."""

    when: str
    python: str


def conditions(number: int, unindexable: int, random: Random) -> list[Condition]:
    """``number`` different conditions, ``unindexable`` of which name nothing that an index could go by."""
    flows = flow_count(number)
    rest = set(random.sample(range(number), unindexable))
    return [_unindexable(n) if n in rest else _indexable(n, random.randrange(flows), random) for n in range(number)]


def transitions(number: int, handlers: int, random: Random) -> list[Transition]:
    """``number`` transitions of tasks, in the flows that ``handlers`` conditions are about."""
    return [_transition(flow_count(handlers), random) for _ in range(number)]


def flow_count(handlers: int) -> int:
    return max(2, handlers // HANDLERS_PER_FLOW)


def _indexable(n: int, flow: int, random: Random) -> Condition:
    share = random.random()
    if share < 0.6:
        return Condition(
            f"flow.name == 'flow_{flow}_load' and state is failed and state.run_count > {n % 3}",
            f"e.flow.name == 'flow_{flow}_load' and e.state.is_failed() and e.state.run_count > {n % 3}",
        )
    if share < 0.75:
        return Condition(
            f"flow.name in ['flow_{flow}_load', 'other_{n}'] and state.type in ['Failed', 'TimedOut']"
            " and 'prod' in obj.tags",
            f"e.flow.name in ['flow_{flow}_load', 'other_{n}'] and e.state.type in ['Failed', 'TimedOut']"
            " and 'prod' in e.obj.tags",
        )
    if share < 0.85:
        return Condition(
            f"flow.name.startswith('flow_{flow}_') and state is retrying and state.run_count != {n}",
            f"e.flow.name.startswith('flow_{flow}_') and e.state.is_retrying() and e.state.run_count != {n}",
        )
    return Condition(
        f"'team_{flow}' in obj.tags and state is finished and state.run_count < {3 + n}",
        f"'team_{flow}' in e.obj.tags and e.state.is_finished() and e.state.run_count < {3 + n}",
    )


def _unindexable(n: int) -> Condition:
    if n % 2:
        return Condition(
            f"state is failed and 'ORA-{n:05}' in state.message",
            f"e.state.is_failed() and 'ORA-{n:05}' in e.state.message",
        )
    return Condition(
        f"state is finished and state.run_count > {n + 5}",
        f"e.state.is_finished() and e.state.run_count > {n + 5}",
    )


def _transition(flows: int, random: Random) -> Transition:
    flow, team = random.randrange(flows), random.randrange(flows)
    kind = random.choice([Failed, Failed, TimedOut, Success, Retrying])
    obj = Obj("task", "load", tags=("prod", f"team_{team}"), flow=Obj("flow", f"flow_{flow}_load"))
    return Transition.of(obj, Running(), kind("no route to the warehouse", {"rows": 3}, run_count=random.randint(1, 3)))
