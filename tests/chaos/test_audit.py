"""The audit finds what is wrong: books that were cooked in every way it is there to notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chaos.audit import (
    Arrival,
    Books,
    DeliveryEntry,
    Evidence,
    Posted,
    TransitionEntry,
    audit,
    audit_running,
    pauses_are_kept,
)

WANTED = {"a": (("failed", "steady"), ("failed", "fickle")), "b": ()}


def good() -> Evidence:
    """Two transitions: one told to two channels, the second of which gave up and was replaced; one told to nobody."""
    deliveries = (
        DeliveryEntry(3, 1, "failed", "steady", "delivered", 2, outcomes=((1, "temporary"), (2, "delivered"))),
        DeliveryEntry(4, 1, "failed", "fickle", "dead", 1, outcomes=((1, "permanent"),)),
        DeliveryEntry(5, 1, "failed", "last", "delivered", 1, fallback_of=4, outcomes=((1, "delivered"),)),
    )
    ledger = {
        ("failed", "steady"): {"accepted": 1, "delivered": 1, "owed": 0},
        ("failed", "fickle"): {"accepted": 1, "dead": 1, "owed": 0},
        ("failed", "last"): {"accepted": 1, "delivered": 1, "owed": 0},
    }
    counters = {"transitions": 2, "unmatched": 1, "duplicates": 1}
    transitions = (TransitionEntry(1, "a", True), TransitionEntry(2, "b", False))
    return Evidence(
        books=Books("s", transitions, deliveries, ledger, counters),
        posted=Posted(WANTED, frozenset(WANTED), accepted=1, duplicates=1, items=2),
        arrivals=(
            Arrival(1.0, "steady", "s-3", mode="error", taken=False, answered=False),
            Arrival(2.0, "fickle", "s-4", mode="refuse", taken=False, answered=False),
            Arrival(3.0, "steady", "s-3"),
            Arrival(4.0, "last", "s-5"),
        ),
        fallbacks={"fickle": "last"},
    )


def books(evidence: Evidence, **changes: Any) -> Evidence:
    return replace(evidence, books=replace(evidence.books, **changes))


def delivery(evidence: Evidence, id: int, **changes: Any) -> Evidence:
    changed = tuple(replace(one, **changes) if one.id == id else one for one in evidence.books.deliveries)
    return books(evidence, deliveries=changed)


def arrivals(evidence: Evidence, *more: Arrival) -> Evidence:
    return replace(evidence, arrivals=(*evidence.arrivals, *more))


def without(evidence: Evidence, *ids: int) -> Evidence:
    return books(evidence, deliveries=tuple(one for one in evidence.books.deliveries if one.id not in ids))


def posted(evidence: Evidence, **changes: Any) -> Evidence:
    return replace(evidence, posted=replace(evidence.posted, **changes))


def again(evidence: Evidence, id: int, **changes: Any) -> Evidence:
    """With another row like delivery ``id``."""
    one = next(one for one in evidence.books.deliveries if one.id == id)
    return books(evidence, deliveries=(*evidence.books.deliveries, replace(one, id=9, **changes)))


def entries(evidence: Evidence, *transitions: TransitionEntry) -> Evidence:
    return books(evidence, transitions=(*evidence.books.transitions, *transitions))


COOKED: dict[str, tuple[str, Callable[[Evidence], Evidence]]] = {
    "an accepted one is not there": ("I1", lambda e: posted(e, acknowledged=frozenset("abc"))),
    "a delivery is missing": ("I2", lambda e: without(e, 3)),
    "a delivery is there twice": ("I2", lambda e: again(e, 3)),
    "a delivery nobody wanted": ("I2", lambda e: again(e, 3, channel="other")),
    "a transition nobody sent": ("I2", lambda e: entries(e, TransitionEntry(7, "z", False))),
    "a transition is there twice": ("I2", lambda e: entries(e, TransitionEntry(7, "b", False))),
    "more called accepted than there are": ("I2", lambda e: posted(e, accepted=3, items=4)),
    "an item called neither": ("I2", lambda e: posted(e, items=3)),
    "a dead one without its fallback": ("I2", lambda e: without(e, 5)),
    "a dead one with two fallbacks": ("I2", lambda e: again(e, 5)),
    "a fallback of one that lives": ("I2", lambda e: delivery(e, 4, status="delivered")),
    "one is still owed": ("I3", lambda e: delivery(e, 3, status="claimed")),
    "a delivered one never arrived": ("I4", lambda e: replace(e, arrivals=e.arrivals[:2])),
    "a delivered one got no good answer": ("I4", lambda e: replace(e, arrivals=e.arrivals[:1])),
    "one was sent that is not in the books": ("I4", lambda e: arrivals(e, Arrival(5.0, "steady", "s-8"))),
    "one arrived twice for no reason": ("I5", lambda e: arrivals(e, Arrival(5.0, "steady", "s-3"))),
    "an attempt is missing": ("I6", lambda e: delivery(e, 3, outcomes=((2, "delivered"),))),
    "an attempt is not counted": ("I6", lambda e: delivery(e, 3, attempts=1)),
    "a counter is behind": ("I7", lambda e: books(e, counters={"transitions": 1, "unmatched": 1, "duplicates": 1})),
    "a duplicate was not counted": ("I7", lambda e: books(e, counters={"transitions": 2, "unmatched": 1})),
    "the ledger forgot one": ("I7", lambda e: books(e, ledger={})),
    "the ledger does not balance": (
        "I7",
        lambda e: books(e, ledger=dict(e.books.ledger) | {("failed", "steady"): {"accepted": 1}}),
    ),
    "the database is damaged": ("I8", lambda e: books(e, damage=("page 7 is never used",))),
}


def test_good_books_are_found_good() -> None:
    assert audit(good()) == []
    assert audit_running(good().books) == []


@pytest.mark.parametrize("how", COOKED)
def test_cooked_books_are_found_out(how: str) -> None:
    rule, cook = COOKED[how]

    assert rule in {broken.rule for broken in audit(cook(good()))}


def test_a_repeat_is_explained_by_a_lost_reply_an_unknown_outcome_or_a_death_in_between() -> None:
    twice = arrivals(good(), Arrival(5.0, "steady", "s-3"))
    lost = arrivals(
        replace(good(), arrivals=()),
        *(Arrival(2.5, "steady", "s-3", mode="taken-then-reset", answered=False), *good().arrivals),
    )
    unknown = delivery(twice, 3, attempts=3, outcomes=((1, "temporary"), (2, "unknown"), (3, "delivered")))
    death = replace(twice, deaths=[1.0, 4.0], in_flight=1)

    assert audit(lost) == audit(unknown) == audit(death) == []
    assert [broken.rule for broken in audit(replace(twice, deaths=[1.0, 6.0], in_flight=9))] == ["I5"]
    assert [broken.rule for broken in audit(replace(death, in_flight=0))] == ["I5"]


def test_a_finding_names_some_ids_and_counts_the_rest() -> None:
    many = frozenset(f"id-{n:02}" for n in range(20))

    (broken,) = audit(posted(good(), acknowledged=many))

    assert str(broken).startswith("I1: 20 accepted and lost: id-00, id-01, ")
    assert str(broken).endswith(" and 12 more")


@pytest.mark.parametrize(
    ("at", "starts", "kept"),
    [(10.2, [], True), (11.0, [], False), (11.0, [10.6], True), (12.5, [], True), (9.0, [], True)],
    ids=["on its way already", "during the pause", "by a new process", "after it", "before it"],
)
def test_a_channel_that_asked_for_a_pause_is_left_alone(at: float, starts: list[float], kept: bool) -> None:
    asked = Arrival(10.0, "steady", "s-3", mode="pause", taken=False, answered=False, paused_until=12.0)
    elsewhere = Arrival(11.0, "other", "s-5")

    broken = pauses_are_kept([asked, elsewhere, Arrival(at, "steady", "s-4")], starts, slack=0.5)

    assert (broken == []) is kept
