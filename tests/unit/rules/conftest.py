"""Random expressions and transitions, for the tests that compare two ways to evaluate them.

``GATEWAY_FUZZ=N`` makes these tests N times as long.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from gateway.states import STATES
from gateway.transition import Obj, Transition

TEXTS = [
    "state.type", "state.name", "state.message", "old_state.type", "old_state.message", "flow.name", "obj.name",
    "task.name", "flow.run_name", "obj.kind", "obj.labels.team", "obj.labels.nope", "event.source",
]  # fmt: skip
DATA = [
    "state.result.value", "state.result.rows", "state.result.rows[1]", "state.result['value']", "state.result.nope",
    "state.result.nope.deeper", "state.result", "old_state.result.x", "obj.parameters.day",
]  # fmt: skip
EXTRAS = [
    "(old_state or state).type == 'Failed'",
    "(task and task.name) == 'load'",
    "(task.name or 'load') in ['load', 'web']",
    "(old_state if old_state else state).message|length > 0",
    "(state.result.value if task) == 7",
    "obj.labels.get('team') == 'data'",
    "obj.labels.get('nope', 'data') == 'data'",
    "flow.flow.name == 'etl'",
    "obj.flow.name.startswith('etl')",
    "state.message[0] == 't'",
    "(state.message ~ '-' ~ state.run_count) == 'ok-1'",
    "state.start_time - state.timestamp == state.start_time",
    "event.occurred_at - old_state.timestamp > state.timestamp - old_state.timestamp",
    "-obj.map_index < 0",
    "state.result.value + 1 > 3",
    "state.run_count + 1 - obj.map_index == 0",
    "(obj.tags|first) == 'prod'",
    "(obj.tags|first|default('none')) == 'none'",
    "state.result.value is even",
    "state.result.value is divisibleby 7",
    "state.result.value is number and state.result.value is gt 2",
    "obj.map_index is lt 3",
    "state.result is mapping",
    "state.result is sequence",
    "state.result.value is in [1, 7]",
    "state.result.value is string",
    "task is none",
    "task is not none",
    "task",
    "state.message.lower().startswith(old_state.message)",
    "state.message is upper",
    "state.result.rows|length == 3",
    "state.result.value|int > 3",
    "(state.result.rows|sum) == 6",
    "state.result.value|abs < 8",
    "true",
    "state.result.value",
]
NUMBERS = ["state.run_count", "task.max_retries", "flow.tags|length", "state.message|length", "obj.map_index"]
LITERALS = ["'Failed'", "'Running'", "'etl'", "''", "'task'", "'data'", "'prod'", "'load'"]
PREDICATES = ["failed", "retrying", "finished", "running", "timed_out", "final"]
LISTS = ["flow.tags", "obj.tags", "state.message", "state.result", "obj.labels"]


class Generator:
    """A source of random expressions and transitions."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self._pick = self.random.choice

    def atom(self) -> str:
        pick, chance = self._pick, self.random.random()
        if self.random.random() < 0.15:
            return pick(EXTRAS)
        if chance < 0.28:
            return f"{pick(TEXTS)} {pick(['==', '!=', 'in', 'not in', '<'])} {pick(LITERALS + TEXTS + DATA)}"
        if chance < 0.40:
            chosen = ", ".join(self.random.sample(LITERALS, self.random.randint(1, 5)))
            return f"{pick(TEXTS)} {pick(['in', 'not in'])} [{chosen}]"
        if chance < 0.50:
            return f"{pick(TEXTS)}.{pick(['startswith', 'endswith'])}({pick(LITERALS)})"
        if chance < 0.60:
            return f"{pick(['state', 'old_state', 'new_state'])} is {pick(['', 'not '])}{pick([*PREDICATES, 'none'])}"
        if chance < 0.66:
            return f"{pick(['state', 'old_state'])}.is_{pick(PREDICATES)}()"
        if chance < 0.76:
            operand = pick([*NUMBERS, *DATA, "1", "7", "2.5", "-1"])
            return f"{pick(NUMBERS + DATA)} {pick(['<', '>', '>=', '==', '!='])} {operand}"
        if chance < 0.83:
            return f"{pick(LITERALS)} in {pick(LISTS)}"
        if chance < 0.88:
            return f"{pick(TEXTS)} is {pick(['search', 'match'])}('t.*[0-9]')"
        if chance < 0.91:
            return f"{pick(TEXTS)} is glob('{pick(['e*', '*l*', 'etl', 'l?ad'])}')"
        if chance < 0.95:
            return f"({pick(TEXTS)}|{pick(['lower', 'upper', 'trim'])}) == {pick(LITERALS)}"
        if chance < 0.97:
            return f"1 < {pick(NUMBERS)} <= {pick([*NUMBERS, '3'])}"
        return f"({pick(DATA)}|default({pick(['0', LITERALS[0]])})) == {pick(['0', '7'])}"

    def expression(self, depth: int = 0) -> str:
        chance = self.random.random()
        if depth > 3 or chance < 0.4:
            return self.atom()
        inner = self.expression(depth + 1)
        if chance < 0.6:
            return f"({inner} and {self.expression(depth + 1)})"
        if chance < 0.8:
            return f"({inner} or {self.expression(depth + 1)})"
        if chance < 0.92:
            return f"not ({inner})"
        return f"({inner} if {self.atom()} else {self.expression(depth + 1)})"

    def indexable(self) -> str:
        """An expression that often begins with a condition the index can use."""
        expression, chance, pick = self.expression(), self.random.random(), self._pick
        name = pick(["etl", "web", "etl_daily"])
        if chance < 0.25:
            return f"flow.name == '{name}' and ({expression})"
        if chance < 0.4:
            return f"flow.name in ['x', '{name}'] and ({expression})"
        if chance < 0.55:
            return f"flow.name.startswith('{pick(['e', 'etl', 'etl_', 'w'])}') and ({expression})"
        if chance < 0.65:
            tags = pick(["obj.tags", "task.tags", "flow.tags"])
            return f"'{pick(['prod', 'nightly', 'x'])}' in {tags} and ({expression})"
        if chance < 0.75:
            return f"(flow.name is glob('{pick(['e*', 'w?b', 'etl'])}') or obj.name == 'load') and ({expression})"
        if chance < 0.8:
            return f"({pick(['obj', 'task'])}.labels.team == 'data' or task.name in ['load', 'x']) and ({expression})"
        if chance < 0.85:
            first, second = pick(["prod", "x"]), pick(["nightly", "prod"])
            return f"('{first}' in obj.tags or '{second}' in obj.tags) and {expression}"
        if chance < 0.9:
            return f"flow.name == '{name}' and flow.name.startswith('{pick(['e', 'w'])}') or {expression}"
        return expression

    def transition(self) -> Transition:
        pick, chance = self._pick, self.random.random
        flow = Obj("flow", pick(["etl_daily", "web", "etl"]), tags=pick([(), ("prod",), ("prod", "nightly")]))
        obj = flow
        if chance() < 0.6:
            labels = pick([{}, {"team": "data"}])
            tags = pick([(), ("prod",), ("x", "prod")])
            obj = Obj("task", pick(["load", "check"]), tags=tags, labels=labels, flow=flow, map_index=pick([None, 2]))
        message = pick([None, "", "timeout after 30s", "ok"])
        result = pick(
            [None, {}, {"value": pick([1, 7, 2.5, None, "x"]), "rows": [1, 2, 3]}, {"value": {"a": 1}}, [1, 2]]
        )
        now = datetime(2026, 5, 1, 12, tzinfo=UTC)
        state = STATES[pick(["Failed", "Running", "Retrying", "Success", "Crashed", "TimedOut"])]
        new = state(message, result, timestamp=now, run_count=pick([0, 1, 3]), final=pick([None, False]))
        old = (
            None
            if chance() < 0.3
            else STATES[pick(["Running", "Pending", "Failed"])](timestamp=now - timedelta(minutes=3))
        )
        return Transition.of(obj, old, new, id="x", occurred_at=now)


@pytest.fixture
def generator() -> type[Generator]:
    """What makes random expressions and transitions."""
    return Generator
