"""Whatever a program hands on, the gateway takes the line it becomes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway import states
from gateway.client.line import line_of, slimmed
from gateway.sources.payload import parse_transition
from gateway.transition import MAX_TEXT, Obj, Transition

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def failed(message: Any = "no route", result: Any = None, obj: Obj | None = None, **fields: Any) -> Transition:
    state = states.Failed(message, result, timestamp=NOW, **fields)
    return Transition.of(obj or Obj("task", "load"), states.Running(), state, id="t-1", occurred_at=NOW)


@pytest.mark.parametrize(
    "transition",
    [
        failed(),
        failed("x" * (MAX_TEXT + 1)),
        failed("half a character: \ud83d"),
        failed("a whole one: 😀, and \\ud83d is none"),
        failed("two\nlines\r\n"),
        failed(result=ValueError("x" * 100_000)),
        failed(result={"deep": [[[[[[1]]]]]], "nan": float("nan"), "huge": 10**400, 3: object()}),
        failed(obj=Obj("task", "n" * 5_000, "r" * 5_000, "a" * 5_000, tuple("t" * 2_000 for _ in range(300)))),
        failed(obj=Obj("flow", "etl", url="u" * 30_000, log=tuple("l" * 30_000 for _ in range(300)))),
        failed(obj=Obj("task", "load", flow=Obj("flow", "f" * 2_000, parameters={"day": NOW, "bytes": b"\xff"}))),
        failed(name="N" * 3_000, run_count=3, start_time=NOW, final=True, context={"a": NOW}),
    ],
    ids=range(11),
)
def test_what_becomes_a_line_is_taken(transition: Transition) -> None:
    line = line_of(transition)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert parse_transition(line).id == "t-1"


def test_a_half_character_is_replaced_and_whole_ones_stay() -> None:
    taken = parse_transition(line_of(failed("\ud83d 😀 \\ud83d \udc00")))

    assert taken.state.message == "\ufffd 😀 \\ud83d \ufffd"


def test_a_transition_that_was_read_from_several_lines_becomes_one() -> None:
    text = json.dumps(json.loads(line_of(failed())), indent=2)

    assert parse_transition(line_of(parse_transition(text))).state.message == "no route"


def test_slimmed_a_line_still_says_what_happened_to_whom() -> None:
    flow = Obj("flow", "etl", run_id="f-1", parameters={"all": ["x" * 1_000] * 50})
    line = line_of(failed(result=["x" * 1_000] * 50, obj=Obj("task", "load", flow=flow)))

    slim = slimmed(line)

    assert slim is not None
    assert len(slim) < 500
    taken = parse_transition(slim)
    assert (taken.id, taken.flow.run_id, taken.state.message) == ("t-1", "f-1", "no route")
    assert taken.state.result is None


@pytest.mark.parametrize("line", [b"torn {", b"3", b'{"id":"a"}', b"[" * 100_000])
def test_what_cannot_be_slimmed_is_left_alone(line: bytes) -> None:
    assert slimmed(line) is None
