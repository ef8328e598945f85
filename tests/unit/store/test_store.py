"""What the store promises, whatever is beneath it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import StoreClosedError
from gateway.store.ledger import total
from gateway.store.rows import Attempt, Delivery, DeliveryFilter, Record, WantExpired
from gateway.store.store import Store
from gateway.testing.builders import MOMENT, acceptance, new_delivery

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def accept(store: Store, *channels: str, **more: object) -> tuple[Delivery, ...]:
    """Accept one transition with a delivery to each of ``channels``."""
    return store.accept(acceptance(*(new_delivery(channel, **more) for channel in channels))).result().deliveries


def claimed(store: Store, channel: str = "oncall") -> Delivery:
    return accept(store, channel, claimed=True)[0]


def tried(delivery: Delivery, status: str = "delivered", **more: object) -> Record:
    outcome = "delivered" if status == "delivered" else "temporary"
    attempt = Attempt(MOMENT, outcome, "ok" if status == "delivered" else "http_503", "", 12)
    return Record(delivery, status, attempt.reason, MOMENT, MOMENT + SECOND, attempt, **more)


def status_of(store: Store, delivery: Delivery) -> str:
    history = store.history(delivery.id)
    assert history is not None
    return history.delivery.status


def test_an_accepted_transition_is_there_with_all_its_deliveries(store: Store) -> None:
    first, second = accept(store, "oncall", "mail")

    found = store.history(second.id)

    assert first.id < second.id
    assert found is not None
    assert found.delivery == second
    assert found.transition.obj_name == "load"
    assert found.transition.received_at == MOMENT


def test_the_same_transition_again_is_counted_and_leaves_nothing_behind(store: Store) -> None:
    once = acceptance(new_delivery(), id="t-1")
    store.accept(once).result()

    again = store.accept(once).result()

    assert again.duplicate
    assert not again.deliveries
    assert len(store.deliveries()) == 1
    assert store.counters()["duplicates"] == 1


def test_a_transition_given_twice_at_the_same_moment_is_kept_once(store: Store) -> None:
    twice = [store.accept(acceptance(new_delivery(), id="t-1")) for _ in range(2)]

    assert sorted(future.result().duplicate for future in twice) == [False, True]
    assert len(store.deliveries()) == 1


def test_ids_grow_and_are_not_given_again_after_reopening(store: Store) -> None:
    ids = [accept(store, "oncall", "mail")[position].id for position in (0, 1) for _ in range(3)]

    assert len(set(ids)) == len(ids)
    assert sorted(ids[:3]) == ids[:3]


def test_a_suppressed_delivery_is_kept_with_its_reason_and_never_due(store: Store) -> None:
    (shadow,) = accept(store, "oncall", suppressed="shadow")

    assert (shadow.status, shadow.reason) == ("suppressed", "shadow")
    assert not store.next_due()
    assert store.ledger()[0].suppressed == 1


def test_a_claim_takes_what_is_due_for_its_channel_and_no_more_than_asked_for(store: Store) -> None:
    accept(store, "mail")
    oncall = [accept(store, "oncall")[0].id for _ in range(3)]

    taken = store.claim("oncall", 2, MOMENT).result()

    assert [delivery.id for delivery in taken] == oncall[:2]
    assert {delivery.owner for delivery in taken} == {store.node}


def test_what_is_not_due_yet_is_not_claimed(store: Store) -> None:
    accept(store, "oncall")

    assert store.claim("oncall", 9, MOMENT - SECOND).result() == ()
    assert store.next_due() == {"oncall": MOMENT}


def test_what_is_claimed_cannot_be_claimed_again(store: Store) -> None:
    accept(store, "oncall")
    store.claim("oncall", 9, MOMENT).result()

    assert store.claim("oncall", 9, MOMENT).result() == ()


def test_next_due_tells_the_first_of_every_channel(store: Store) -> None:
    for channel in ("mail", "oncall", "mail", "chat"):
        accept(store, channel)
    store.record(tried(claimed(store, "late"), "pending")).result()

    assert store.next_due() == {"chat": MOMENT, "late": MOMENT + SECOND, "mail": MOMENT, "oncall": MOMENT}


def test_a_receipt_is_kept_with_its_attempt(store: Store) -> None:
    delivery = claimed(store)

    assert store.record(tried(delivery)).result().kept

    history = store.history(delivery.id)
    assert history is not None
    assert (history.delivery.status, history.delivery.attempts, history.delivery.owner) == ("delivered", 1, None)
    assert history.attempts == (Attempt(MOMENT, "delivered", "ok", "", 12),)


def test_a_delivery_to_be_tried_again_waits_until_it_is_due(store: Store) -> None:
    store.record(tried(claimed(store), "pending")).result()

    assert not store.claim("oncall", 1, MOMENT).result()
    assert store.claim("oncall", 1, MOMENT + SECOND).result()[0].attempts == 1


def test_a_delivery_ends_only_once(store: Store) -> None:
    delivery = claimed(store)
    store.record(tried(delivery)).result()

    assert not store.record(tried(delivery, "dead")).result().kept
    assert status_of(store, delivery) == "delivered"
    assert store.counters()["late_records"] == 1


def test_two_records_of_one_delivery_in_the_same_transaction_leave_one_receipt(store: Store) -> None:
    delivery = claimed(store)

    kept = [future.result().kept for future in [store.record(tried(delivery)) for _ in range(2)]]

    assert sorted(kept) == [False, True]
    assert store.ledger()[0].delivered == 1


def test_a_record_of_a_claim_that_was_given_back_is_refused(store: Store) -> None:
    delivery = claimed(store)
    store.release().result()

    assert not store.record(tried(delivery)).result().kept
    assert status_of(store, delivery) == "pending"


def test_an_attempt_that_does_not_count_is_forgiven(store: Store) -> None:
    delivery = claimed(store)
    store.record(tried(delivery, "pending", counted=False)).result()

    (again,) = store.claim("oncall", 1, MOMENT + SECOND).result()

    assert (again.attempts, again.forgiven) == (1, 1)


def test_a_fallback_takes_over_in_the_same_transaction_and_belongs_to_the_node(store: Store) -> None:
    delivery = claimed(store)

    fallback = store.record(tried(delivery, "dead", fallback=new_delivery("mail", claimed=True))).result().fallback

    assert fallback is not None
    assert (fallback.channel, fallback.fallback_of, fallback.status) == ("mail", delivery.id, "claimed")
    assert store.holds(fallback)
    assert status_of(store, delivery) == "dead"


def test_a_refused_record_makes_no_fallback(store: Store) -> None:
    delivery = claimed(store)
    store.release().result()

    recorded = store.record(tried(delivery, "dead", fallback=new_delivery("mail"))).result()

    assert recorded.fallback is None
    assert len(store.deliveries()) == 1


def test_released_claims_can_be_claimed_at_once(store: Store) -> None:
    claimed(store)

    assert store.release().result() == 1
    assert store.deliveries()[0].owner is None
    assert len(store.claim("oncall", 9, MOMENT).result()) == 1


@pytest.mark.parametrize("status", ["pending", "dead"])
def test_retrying_by_hand_gives_all_attempts_and_all_time_again(store: Store, status: str) -> None:
    delivery = claimed(store)
    store.record(tried(delivery, status)).result()

    assert store.retry(delivery.id, MOMENT + 2 * DAY).result()

    (again,) = store.claim("oncall", 1, MOMENT + 2 * DAY).result()
    assert again.attempts - again.forgiven == 0
    assert again.give_up_at == MOMENT + 3 * DAY


def test_what_was_delivered_cannot_be_retried(store: Store) -> None:
    delivery = claimed(store)
    store.record(tried(delivery)).result()

    assert not store.retry(delivery.id, MOMENT).result()
    assert not store.retry(delivery.id + 1000, MOMENT).result()


def test_a_pending_delivery_can_be_cancelled_and_a_claimed_one_not(store: Store) -> None:
    (pending,) = accept(store, "oncall")
    held = claimed(store)

    assert store.cancel(pending.id, MOMENT).result()
    assert not store.cancel(held.id, MOMENT).result()
    assert status_of(store, pending) == "cancelled"


def test_what_has_waited_too_long_can_be_claimed_to_be_ended(store: Store) -> None:
    accept(store, "oncall", give_up_after=SECOND)
    accept(store, "unknown", give_up_after=SECOND)
    accept(store, "oncall")
    assert store.next_give_up() == MOMENT + SECOND

    soon = WantExpired(("oncall",), MOMENT + 2 * SECOND, timedelta(hours=1), 9)
    later = WantExpired(("oncall",), MOMENT + timedelta(hours=2), timedelta(hours=1), 9)

    assert [delivery.channel for delivery in store.claim_expired(soon).result()] == ["oncall"]
    assert [delivery.channel for delivery in store.claim_expired(later).result()] == ["unknown"]


def test_the_ledger_counts_every_end_and_balances(store: Store) -> None:
    delivered, dead, again = (claimed(store) for _ in range(3))
    store.record(tried(delivered)).result()
    store.record(tried(dead, "dead", fallback=new_delivery("mail", claimed=True))).result()
    store.record(tried(again, "pending")).result()
    store.cancel(accept(store, "oncall")[0].id, MOMENT).result()
    accept(store, "oncall", suppressed="shadow")

    mail, oncall = store.ledger()

    assert (oncall.accepted, oncall.delivered, oncall.dead, oncall.cancelled, oncall.suppressed) == (5, 1, 1, 1, 1)
    assert (oncall.owed, mail.owed) == (1, 1)
    assert all(line.balances for line in (mail, oncall, total([mail, oncall])))


def test_who_watches_commits_and_raises_is_told_no_more_and_keeps_nobody_from_anything(store: Store, caplog) -> None:
    told: list[object] = []

    def raises(commit: object) -> None:
        told.append("raised")
        raise ValueError("a mistake")

    store.on_commit(raises)
    store.on_commit(lambda commit: told.append("told"))

    accept(store, "oncall")
    accept(store, "oncall")

    assert told == ["raised", "told", "told"]
    assert "told no more" in caplog.text


def test_it_is_known_when_the_last_transition_came(store: Store) -> None:
    assert store.newest() is None
    store.accept(acceptance(new_delivery())).result()
    store.accept(acceptance(new_delivery(), now=MOMENT - DAY)).result()

    # In the order they were accepted, which a wall clock that was set back does not change.
    assert store.newest() == MOMENT - DAY


def test_deliveries_are_listed_newest_first_page_by_page(store: Store) -> None:
    ids = [accept(store, "oncall")[0].id for _ in range(5)]

    first = store.deliveries(limit=2)
    second = store.deliveries(limit=2, before=first[-1].id)

    assert [delivery.id for delivery in first + second] == ids[:0:-1]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (DeliveryFilter(status="dead"), {"dead"}),
        (DeliveryFilter(status="delivered"), {"delivered"}),
        (DeliveryFilter(channel="mail"), {"mail"}),
        (DeliveryFilter(handler="other"), {"other"}),
        (DeliveryFilter(since=MOMENT + SECOND), {"late"}),
        (DeliveryFilter(channel="mail", status="dead"), set()),
        (DeliveryFilter(), {"dead", "delivered", "mail", "other", "late"}),
    ],
    ids=lambda given: str(given) if isinstance(given, DeliveryFilter) else "",
)
def test_deliveries_can_be_filtered(store: Store, wanted: DeliveryFilter, found: set[str]) -> None:
    dead, delivered = claimed(store, "a"), claimed(store, "b")
    store.record(tried(dead, "dead")).result()
    store.record(tried(delivered)).result()
    names = {dead.id: "dead", delivered.id: "delivered"}
    names[accept(store, "mail")[0].id] = "mail"
    names[accept(store, "c", handler="other")[0].id] = "other"
    names[store.accept(acceptance(new_delivery("d"), now=MOMENT + DAY)).result().deliveries[0].id] = "late"

    assert {names[delivery.id] for delivery in store.deliveries(wanted)} == found


def test_nothing_is_told_of_a_delivery_that_does_not_exist(store: Store) -> None:
    assert store.history(1234) is None


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    store.close()

    with pytest.raises(StoreClosedError, match="closed"):
        store.accept(acceptance(new_delivery()))
    with pytest.raises(StoreClosedError, match="closed"):
        store.owed()


def test_the_store_tells_the_time_all_who_use_it_go_by(store: Store) -> None:
    before, now, after = datetime.now(UTC), store.now(), datetime.now(UTC)

    assert before - SECOND < now < after + SECOND, "here, the database is on the same host"
