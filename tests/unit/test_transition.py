from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

import pytest

from gateway import Task, signals, states
from gateway.transition import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_TEXT,
    MAX_VALUES,
    NO_FLOW,
    Obj,
    Transition,
    new_id,
    plain,
    text_of,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_new_id_is_a_version_7_uuid_of_now():
    made = uuid.UUID(new_id())

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    made_at = datetime.fromtimestamp((made.int >> 80) / 1000, UTC)
    assert abs(datetime.now(UTC) - made_at) < timedelta(minutes=1)


def test_new_ids_are_hexadecimal_text_of_one_length():
    assert all(len(made) == 32 and set(made) <= set("0123456789abcdef") for made in (new_id() for _ in range(1000)))


def test_new_ids_differ_and_sort_by_the_millisecond_they_were_made_in():
    ids = [new_id() for _ in range(2000)]

    assert len(set(ids)) == 2000
    assert [made[:12] for made in ids] == sorted(made[:12] for made in ids)


def test_the_transition_of_a_task_knows_task_and_flow():
    flow = Obj("flow", "nightly")
    task = Obj("task", "load", flow=flow)

    transition = Transition.of(task, states.Pending(), states.Running())

    assert (transition.kind, transition.obj, transition.task, transition.flow) == ("task", task, task, flow)


def test_the_transition_of_a_flow_has_no_task():
    flow = Obj("flow", "nightly")

    transition = Transition.of(flow, None, states.Running())

    assert (transition.kind, transition.task, transition.flow, transition.old_state) == ("flow", None, flow, None)


def test_a_task_without_a_flow_has_a_nameless_one():
    assert Transition.of(Obj("task", "load"), None, states.Running()).flow is NO_FLOW


def test_what_is_given_is_kept():
    transition = Transition.of(Obj("flow", "f"), None, states.Success(), id="7", source="http", occurred_at=NOON)

    assert (transition.id, transition.source, transition.occurred_at) == ("7", "http", NOON)


def test_transitions_get_ids_of_their_own():
    obj, state = Obj("flow", "f"), states.Success()

    assert Transition.of(obj, None, state).id != Transition.of(obj, None, state).id


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (None, ""),
        ("why", "why"),
        (ValueError("odd"), "odd"),
        (42, "42"),
        (Unprintable(), "<Unprintable that cannot be printed: RuntimeError>"),
    ],
)
def test_a_message_becomes_text(message, text):
    assert text_of(message) == text


@dataclass
class Row:
    table: str
    count: int


class Client:
    """Stands for a live object; printing it would show what it holds."""

    def __repr__(self) -> str:
        return "Client(token='s3cr3t')"


def failure(**attributes: object) -> Exception:
    error = ValueError("too many")
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


def signal() -> signals.FAIL:
    raised = signals.FAIL("a equals b")
    raised.value = 3
    return raised


class Job:
    """Has the looks of a state; asking for its result would wait for it."""

    message = "at work"

    @property
    def result(self) -> object:
        raise AssertionError("asked")

    def is_finished(self) -> bool:
        return False


PLAIN = [
    (None, None),
    (True, True),
    (1.5, 1.5),
    ("text", "text"),
    (NOON, NOON),
    (date(2026, 3, 1), date(2026, 3, 1)),
    (timedelta(seconds=3), timedelta(seconds=3)),
    ([1, (2, 3)], [1, [2, 3]]),
    ({"a": {1}}, {"a": [1]}),
    ({1: "one", None: "none"}, {"1": "one", "None": "none"}),
    (Row("users", 3), {"table": "users", "count": 3}),
    (Row, "<type>"),
    (Client(), "<Client>"),
    ([Client()], ["<Client>"]),
    (failure(), {"type": "ValueError", "message": "too many"}),
    (failure(count=3, _token="s3cr3t"), {"type": "ValueError", "message": "too many", "count": 3}),
    (signal(), {"type": "FAIL", "message": "a equals b", "value": 3}),
    (
        states.Failed("why", 7),
        {"type": "Failed", "name": "Failed", "message": "why", "result": 7},
    ),
    (Job(), "<Job>"),
    (states.Failed, "<type>"),
    (b"bytes", "<bytes>"),
]


@pytest.mark.parametrize(
    ("value", "expected"), PLAIN, ids=[f"{index}-{type(v).__name__}" for index, (v, _) in enumerate(PLAIN)]
)
def test_values_become_plain_data(value, expected):
    assert plain(value) == expected


def test_a_tasks_name_stands_for_it_as_a_key():
    assert plain({Task("load"): states.Success()})["load"]["type"] == "Success"


def test_depth_is_bounded():
    nested: list[object] = []
    nested.append(nested)

    flat = plain(nested)

    for _ in range(MAX_DEPTH):
        (flat,) = flat
    assert flat == "<list>"


def test_lengths_are_bounded():
    assert len(plain(list(range(MAX_ITEMS + 1)))) == MAX_ITEMS
    assert len(plain({str(number): number for number in range(MAX_ITEMS + 1)})) == MAX_ITEMS
    assert plain("x" * (MAX_TEXT + 1)) == "x" * MAX_TEXT + "…"


def test_an_exception_that_refuses_to_print_is_told_by_its_type():
    assert plain(Unprintable())["message"] == "<Unprintable that cannot be printed: RuntimeError>"


def test_plain_data_has_a_total_limit() -> None:
    wide = [[[list(range(200)) for _ in range(200)] for _ in range(200)]]

    made = plain(wide)

    def count(value: object) -> int:
        return 1 + sum(count(item) for item in value) if isinstance(value, list) else 1

    assert count(made) <= MAX_VALUES + 200


class Hostile:
    """Raises an error that cannot be printed, whatever is asked of it."""

    def _raise(self, *_: object) -> None:
        raise Unprintable

    __eq__ = __bool__ = __len__ = __iter__ = __str__ = __repr__ = __hash__ = _raise  # type: ignore[assignment]
    __class__ = name = property(_raise)  # type: ignore[assignment]


class HostileDict(dict[str, int]):
    items = __len__ = __iter__ = Hostile._raise  # type: ignore[assignment]


class HostileText(str):
    __slots__ = ()
    __len__ = __str__ = __getitem__ = __eq__ = Hostile._raise  # type: ignore[assignment]
    __hash__ = str.__hash__


class HostileNumber(int):
    __abs__ = __eq__ = __bool__ = __str__ = __repr__ = Hostile._raise  # type: ignore[assignment]
    __hash__ = int.__hash__


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Hostile(), "<Hostile that cannot be read>"),
        ([Hostile(), 1], ["<Hostile that cannot be read>", 1]),
        ({"a": HostileDict(x=1)}, {"a": "<HostileDict that cannot be read>"}),
        ({Hostile: 1}, {"<type>": 1}),
        ([HostileText("text")], ["text"]),
        ({HostileText("a"): 1}, {"a": 1}),
        ([HostileNumber(3)], [3]),
        ([Colour.RED], ["red"]),
    ],
    ids=["object", "in a list", "mapping", "class as key", "text", "text as key", "number", "enumeration"],
)
def test_what_raises_when_it_is_read_spoils_nothing_else(value, expected):
    made = plain(value)

    assert made == expected
    assert all(type(item) in (str, int) for item in (made if isinstance(made, list) else [])), "no subclass is left"


def test_the_text_of_a_text_that_refuses_to_print_is_told_by_its_type():
    assert text_of(HostileText("x")) == "<HostileText that cannot be printed: Unprintable>"
