"""How a store stands: what is owed and why, what was given up lately, what is late."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.store import standing
from gateway.store.rows import Attempt, Delivery, Record
from gateway.store.standing import DeadLetters, Overdue, Waiting
from gateway.store.store import Store
from gateway.testing.builders import MOMENT, acceptance, new_delivery

HOUR = timedelta(hours=1)


def accept(store: Store, channel: str = "oncall", now=MOMENT, **more: object) -> Delivery:
    return store.accept(acceptance(new_delivery(channel, **more), now=now)).result().deliveries[0]


def record(store: Store, delivery: Delivery, status: str, reason: str, at=MOMENT, due_at=None) -> None:
    attempt = Attempt(at, "temporary", reason, "", 3)
    assert store.record(Record(delivery, status, reason, at, due_at or at, attempt)).result().kept


def test_an_empty_store_owes_nothing(store: Store) -> None:
    found = store.standing(MOMENT)

    assert (found.ledger, found.waiting, found.dead, len(found.nodes)) == ((), (), (), 1)


def test_what_is_owed_is_told_by_channel_with_its_age_its_next_try_and_why(store: Store) -> None:
    accept(store, now=MOMENT + HOUR)
    record(store, accept(store, claimed=True), "pending", "http_503", MOMENT, MOMENT + 2 * HOUR)
    record(store, accept(store, claimed=True), "pending", "http_503", MOMENT, MOMENT + 3 * HOUR)
    accept(store, "mail", claimed=True)
    record(store, accept(store, "box", claimed=True), "delivered", "ok")

    assert store.standing(MOMENT).waiting == (
        Waiting("mail", 1, MOMENT, None, (("sending", 1),)),
        Waiting("oncall", 3, MOMENT, MOMENT + HOUR, (("http_503", 2), ("new", 1))),
    )


def test_dead_letters_are_told_by_channel_and_reason_the_most_frequent_first(store: Store) -> None:
    for at in (MOMENT - 30 * HOUR, MOMENT, MOMENT + HOUR):
        record(store, accept(store, claimed=True), "dead", "http_410", at)
    record(store, accept(store, "mail", claimed=True), "dead", "smtp_550")

    assert store.standing(MOMENT - 24 * HOUR).dead == (
        DeadLetters("oncall", "http_410", 2, MOMENT + HOUR),
        DeadLetters("mail", "smtp_550", 1, MOMENT),
    )


def test_a_delivery_is_late_by_the_time_it_has_been_owed_for(store: Store) -> None:
    accept(store)
    accept(store, now=MOMENT + HOUR)
    accept(store, "mail", handler="(gateway)")

    assert store.overdue(MOMENT + timedelta(minutes=1), but="(gateway)") == [Overdue("oncall", 1, MOMENT)]
    assert store.overdue(MOMENT, but="(gateway)") == []


def test_a_retry_by_hand_begins_the_time_anew(store: Store) -> None:
    delivery = accept(store, claimed=True)
    record(store, delivery, "dead", "http_410")

    store.retry(delivery.id, MOMENT + 5 * HOUR).result()

    assert store.overdue(MOMENT + HOUR, but="") == []
    assert store.standing(MOMENT).waiting[0].oldest_at == MOMENT + 5 * HOUR


def test_more_than_is_looked_at_is_counted_by_the_ledger(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    deliveries = [new_delivery("oncall")] * 300
    for _ in range(standing.MOST_ROWS // 300 + 1):
        store.accept(acceptance(*deliveries, now=MOMENT)).result()
    accept(store, "mail")

    mail, oncall = store.standing(MOMENT).waiting

    assert (mail.owed, mail.oldest_at, mail.next_due_at) == (1, None, MOMENT)
    assert (oncall.owed, oncall.reasons) == (10_200, (("new", 10_000),))


def test_when_transitions_occurred_is_told_of_those_that_are_kept(store: Store) -> None:
    delivery = accept(store)

    assert store.occurred([delivery.transition_seq, 999]) == {delivery.transition_seq: MOMENT}


def test_a_dead_letter_that_is_dropped_is_cancelled_in_the_books_and_keeps_its_history(store: Store) -> None:
    delivery = accept(store, claimed=True)
    record(store, delivery, "dead", "http_410")

    assert store.drop(delivery.id, MOMENT + HOUR).result()

    history = store.history(delivery.id)
    assert history is not None
    assert (history.delivery.status, history.delivery.reason) == ("cancelled", "dropped")
    assert [made.reason for made in history.attempts] == ["http_410"]
    [line] = store.ledger()
    assert (line.dead, line.cancelled, line.balances) == (0, 1, True)
    assert store.retry(delivery.id, MOMENT + HOUR).result()


@pytest.mark.parametrize("status", ["pending", "claimed", "delivered", "cancelled", "none"])
def test_only_dead_letters_can_be_dropped(store: Store, status: str) -> None:
    delivery = accept(store, claimed=status not in ("pending", "cancelled"))
    if status == "delivered":
        record(store, delivery, "delivered", "ok")
    if status == "cancelled":
        store.cancel(delivery.id, MOMENT).result()

    assert not store.drop(delivery.id + (1000 if status == "none" else 0), MOMENT).result()
