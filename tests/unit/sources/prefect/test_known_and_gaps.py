"""What is known already, and what is missed."""

from __future__ import annotations

import pytest

from gateway.sources.prefect.gaps import PATIENCE_SECONDS, Gaps, made_at
from gateway.sources.prefect.known import FIRST, Known
from gateway.sources.prefect.waits import Waits


def test_the_latest_ids_are_known() -> None:
    known = Known(most=2)
    for id in ("a", "b", "c"):
        known.add(id)

    assert ("a" in known, "b" in known, "c" in known, len(known)) == (False, True, True, 2)


@pytest.mark.parametrize(
    ("told", "whole"),
    [
        ({"pending": FIRST, "running": "pending", "failed": "running"}, True),
        ({"running": "pending", "failed": "running"}, False),  # the first is missing
        ({"pending": FIRST, "failed": "running"}, False),  # one in between is
        ({"pending": FIRST, "failed": None}, False),  # which came before was not told: more than five minutes passed
        ({}, False),
    ],
)
def test_a_run_is_known_whole_if_every_event_down_to_its_first_is(told, whole) -> None:
    known = Known()
    for id, before in told.items():
        known.add(id, before)

    assert known.is_whole("failed") is whole


def test_an_event_that_another_follows_is_missed_until_it_comes_and_told_once() -> None:
    gaps = Gaps()
    gaps.note({"id": "c", "follows": "b"}, "task_run", "run-1", 0.0)
    gaps.note({"id": "z", "follows": "y"}, "flow_run", "run-2", 1.0)
    gaps.came("b")

    assert [*gaps.due(PATIENCE_SECONDS)] == []
    assert [gap.id for gap in gaps.due(PATIENCE_SECONDS + 1)] == ["y"]
    assert [*gaps.due(PATIENCE_SECONDS + 2)] == []


@pytest.mark.parametrize(
    ("id", "made"),
    [
        ("01a203ab-aa61-7410-851e-bf50872b0f75", "2026-11-22T14:31:51.649000+00:00"),
        ("b94e8a0c-8294-4ce1-b09d-90debd648291", None),
        ("", None),
        ("zzzzzzzz-zzzz-7zzz-zzzz-zzzzzzzzzzzz", None),
    ],
)
def test_an_id_of_version_7_tells_when_it_was_made(id, made) -> None:
    found = made_at(id)

    assert (None if found is None else found.isoformat()) == made


def test_waits_grow_to_a_limit_and_begin_anew() -> None:
    waits = Waits(longest=2.0, dice=lambda: 1.0)

    assert [waits.next() for _ in range(4)] == [0.5, 1.0, 2.0, 2.0]
    waits.reset()
    assert waits.next() == 0.5
    assert Waits(dice=lambda: 0.0).next() == 0.25
