from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import states
from gateway.delivery.payload import decode
from gateway.encoding import encode
from gateway.testing.builders import MOMENT, transition
from gateway.transition import MAX_TEXT, Obj, Transition

PARAMETERS: dict[str, Any] = {"day": "2026-03-02", "parts": [1, 2.5, None, True], "deep": {"a": {"b": "c"}}}


def whole() -> Transition:
    flow = Obj("flow", "etl", run_id="f-1", run_name="azure-fox", tags=("prod", "eu"), parameters=PARAMETERS)
    task = Obj("task", "load", run_id="r-1", flow=flow, labels={"team": "data"}, max_retries=3, map_index=0)
    old = states.Running("at work", run_count=2, timestamp=MOMENT)
    new = states.Retrying("soon", {"flag": False}, run_count=2, start_time=MOMENT, name="AwaitingRetry", final=False)
    return Transition.of(task, old, new, id="t-1", source="http", occurred_at=MOMENT)


def test_a_transition_comes_back_whole() -> None:
    before = whole()

    after = decode(encode(before))

    assert (after.id, after.source, after.occurred_at, after.kind) == ("t-1", "http", MOMENT, "task")
    assert after.obj == before.obj
    for old, new in ((before.state, after.state), (before.old_state, after.old_state)):
        assert old is not None
        assert new is not None
        assert type(new) is type(old)
        names = ("result", "name", "timestamp", "start_time", "run_count", "final", "context")
        assert [getattr(new, name) for name in names] == [getattr(old, name) for name in names]
        assert str(new.message) == str(old.message)


def test_the_shape_is_the_one_transitions_have_over_http() -> None:
    document = json.loads(encode(whole()))

    assert set(document) == {"id", "source", "occurred_at", "obj", "old_state", "new_state"}
    assert document["obj"]["kind"] == "task"
    assert document["obj"]["flow"]["name"] == "etl"
    assert document["new_state"]["type"] == "Retrying"


@pytest.mark.parametrize("kind", sorted(states.STATES))
def test_every_kind_of_state_comes_back_as_itself(kind: str) -> None:
    after = decode(encode(transition(new=kind)))

    assert type(after.state) is states.STATES[kind]
    assert after.state.message == "the table is gone"


def test_a_state_about_a_state_keeps_it() -> None:
    submitted = states.Submitted(state=states.Failed("lost", {"rows": 3}))
    before = Transition.of(Obj("flow", "etl"), None, submitted)

    after = decode(encode(before))

    assert isinstance(after.state, states.Submitted)
    assert after.state.state == submitted.state
    assert after.old_state is None


def test_an_exception_becomes_what_can_be_asked_of_it() -> None:
    error = ValueError("no such table")
    error.table = "orders"  # type: ignore[attr-defined]
    failed = Transition.of(Obj("flow", "etl"), None, states.Failed(error, error))

    after = decode(encode(failed))

    assert after.state.message == "no such table"
    assert after.state.result == {"type": "ValueError", "message": "no such table", "table": "orders"}


@pytest.mark.parametrize(
    ("result", "kept"),
    [
        (0, 0),
        (False, False),
        ("", ""),
        ([], []),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (2**70, hex(2**70)),
        (10**5000, hex(10**5000)),
        (MOMENT, "2026-03-02T09:00:00+00:00"),
        (date(2026, 3, 2), "2026-03-02"),
        (timedelta(minutes=1), 60.0),
        ({"when": MOMENT, "n": [float("inf")]}, {"when": "2026-03-02T09:00:00+00:00", "n": ["inf"]}),
        ("\ud800 half a character \0", "\ud800 half a character \0"),
        (object(), "<object>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_results_of_every_kind_are_kept_as_plain_data(result: object, kept: object) -> None:
    text = encode(Transition.of(Obj("flow", "etl"), None, states.Success(result=result)))

    assert text.isascii()
    assert "\0" not in text
    assert decode(text).state.result == kept


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(result=st.dictionaries(st.text(), json_values, max_size=3), message=st.text(), name=st.text(min_size=1))
def test_any_result_name_and_message_come_back(result: dict[str, Any], message: str, name: str) -> None:
    before = Transition.of(Obj("task", name), None, states.Failed(message, result), occurred_at=datetime.now(UTC))

    after = decode(encode(before))

    assert encode(after) == encode(before)
    assert after.obj == before.obj
    assert after.state.message == (message or None)


@pytest.mark.parametrize(
    "odd",
    [
        {"final": object()},
        {"timestamp": None},
        {"start_time": "soon"},
        {"context": 3, "run_count": object()},
        {"name": ["a"], "timestamp": "now"},
    ],
    ids=lambda odd: " ".join(odd),
)
def test_of_a_state_with_anything_in_its_fields_what_happened_is_kept(odd: dict[str, Any]) -> None:
    state = states.Failed("the table is gone").replace(**odd)

    after = decode(encode(Transition.of(Obj("task", "load"), states.Running(), state, id="t-1")))

    assert (after.id, after.obj.kind, after.obj.name) == ("t-1", "task", "load")
    assert after.old_state is not None
    assert (after.old_state.type, after.state.type, after.state.message) == ("Running", "Failed", "the table is gone")


def test_a_log_of_megabytes_in_a_message_is_cut() -> None:
    text = encode(Transition.of(Obj("flow", "etl"), None, states.Failed("x" * 10_000_000)))

    assert len(text) < 2 * MAX_TEXT
    assert decode(text).state.message == "x" * MAX_TEXT + "…"
