"""The JSON form of a transition: understood or refused in words, never anything in between."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies

from gateway.delivery.payload import decode
from gateway.encoding import encode
from gateway.errors import PayloadError
from gateway.sources.payload import parse_transition
from gateway.transition import MAX_ITEMS

EVENT: dict[str, Any] = {
    "id": "e-1",
    "obj": {"kind": "task", "name": "load", "run_id": "r", "tags": ["prod"], "flow": {"name": "etl", "run_id": "f"}},
    "old_state": {"type": "Running"},
    "new_state": {"type": "Retrying", "message": "m", "start_time": "2026-03-29T01:35:00+02:00", "run_count": 2},
    "occurred_at": "2026-03-29T01:30:00Z",
}


def test_a_whole_event_becomes_a_transition() -> None:
    transition = parse_transition(json.dumps(EVENT))

    assert (transition.id, transition.kind, transition.flow.name) == ("e-1", "task", "etl")
    assert transition.obj.tags == ("prod",)
    assert transition.state.is_retrying()
    assert transition.state.start_time == datetime(2026, 3, 28, 23, 35, tzinfo=UTC)
    assert transition.occurred_at == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_little_is_needed() -> None:
    transition = parse_transition('{"obj": {"kind": "flow", "name": "etl"}, "new_state": {"type": "Failed"}}')

    assert transition.old_state is None
    assert transition.flow is transition.obj
    assert transition.id


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"new_state": {"type": "Faild"}}, "new_state.type: there is no state 'Faild', did you mean 'Failed'?"),
        ({"new_state": {}}, "new_state.type: is missing"),
        ({"obj": {"kind": "job", "name": "x"}}, "obj.kind: "),
        ({"nwe_state": {}}, "nwe_state: there is no such key"),
        ({"occurred_at": "yesterday"}, "occurred_at: "),
        ({"occurred_at": "2026-03-29T01:30:00"}, "occurred_at: "),
        ({"id": "x" * 500}, "id: "),
    ],
    ids=str,
)
def test_a_wrong_event_is_refused_with_every_reason(change: dict[str, Any], said: str) -> None:
    with pytest.raises(PayloadError) as refused:
        parse_transition(json.dumps({**EVENT, **change}))

    assert any(complaint.startswith(said) for complaint in refused.value.complaints)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "\x00", "{" * 5000], ids=repr)
def test_what_is_no_event_at_all_is_refused(text: str) -> None:
    with pytest.raises(PayloadError):
        parse_transition(text)


def test_what_the_store_keeps_can_be_given_again() -> None:
    transition = parse_transition(json.dumps(EVENT))

    again = parse_transition(encode(transition))

    assert encode(again) == encode(transition)


@given(
    strategies.recursive(strategies.none() | strategies.integers() | strategies.text(), strategies.lists, max_leaves=20)
)
def test_any_result_is_taken_or_refused_in_words(result: Any) -> None:
    event = {**EVENT, "new_state": {"type": "Failed", "result": result}}
    with contextlib.suppress(PayloadError):
        parse_transition(json.dumps(event))


@pytest.mark.parametrize(
    "event",
    [
        EVENT,
        {key: value for key, value in EVENT.items() if key not in ("id", "occurred_at", "old_state")},
        {**EVENT, "new_state": {"type": "Failed", "name": None, "result": {"rows": [None, 1.5, 2**70, "é\0"]}}},
        {**EVENT, "new_state": {"type": "Failed", "start_time": None, "timestamp": None, "state": {"type": "Running"}}},
        {**EVENT, "occurred_at": "2026-03-29 01:30:00.123456789+05:30"},
        {**EVENT, "new_state": {"type": "Queued", "state": {"type": "Scheduled"}, "context": {"worker": 3}}},
        {**EVENT, "obj": {"kind": "flow", "name": "etl", "labels": {"team": "data"}, "parameters": {"day": None}}},
    ],
)
def test_what_is_kept_of_an_event_is_read_back_as_the_same_transition(event: dict[str, Any]) -> None:
    transition = parse_transition(json.dumps(event))

    kept = decode(encode(transition))

    assert kept == transition
    for state, again in ((transition.state, kept.state), (transition.old_state, kept.old_state)):
        assert type(again) is type(state)
        if state is not None:
            assert again is not None
            assert (again.timestamp, again.start_time, again.name) == (state.timestamp, state.start_time, state.name)


@pytest.mark.parametrize(
    "wrong", [{"run_count": "2"}, {"final": 1}, {"start_time": 1774747800}, {"timestamp": "0001-01-01T00:00:00+14:00"}]
)
def test_a_value_of_another_type_is_refused_not_guessed(wrong: dict[str, Any]) -> None:
    with pytest.raises(PayloadError, match=f"new_state.{next(iter(wrong))}: "):
        parse_transition(json.dumps({**EVENT, "new_state": {"type": "Failed", **wrong}}))


def test_of_an_overlong_event_only_what_handlers_see_is_kept() -> None:
    event = {**EVENT, "new_state": {"type": "Failed", "result": ["x" * 1000] * 1000}}
    transition = parse_transition(json.dumps(event))

    assert len(json.loads(encode(transition))["new_state"]["result"]) == MAX_ITEMS
