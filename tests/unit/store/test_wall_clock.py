"""What waits in a SQLite store when somebody sets the wall clock. In PostgreSQL all go by the database's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.store.operations import ClockReading
from gateway.store.rows import Attempt, Delivery, Record
from gateway.store.store import Store
from gateway.testing.builders import MOMENT, acceptance, new_delivery

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@pytest.fixture
def url(sqlite_url: str) -> str:
    return sqlite_url


def accept(store: Store, *channels: str, **more: object) -> tuple[Delivery, ...]:
    """Accept one transition with a delivery to each of ``channels``."""
    return store.accept(acceptance(*(new_delivery(channel, **more) for channel in channels))).result().deliveries


def claimed(store: Store, channel: str = "oncall") -> Delivery:
    return accept(store, channel, claimed=True)[0]


def tried(delivery: Delivery, status: str = "delivered", **more: object) -> Record:
    outcome = "delivered" if status == "delivered" else "temporary"
    attempt = Attempt(MOMENT, outcome, "ok" if status == "delivered" else "http_503", "", 12)
    return Record(delivery, status, attempt.reason, MOMENT, MOMENT + SECOND, attempt, **more)


OFFSET = timedelta(days=20_000)
HOUR = timedelta(hours=1)


def reading(step: timedelta = timedelta(0), after: timedelta = timedelta(0)) -> ClockReading:
    """Of a clock that was set by ``step`` at ``MOMENT``, which was noticed ``after`` that."""
    return ClockReading(OFFSET + step, MOMENT + step + after, MOMENT + step)


@pytest.mark.parametrize(("step", "moved"), [(HOUR, HOUR), (-HOUR, -HOUR), (SECOND, 0 * SECOND)])
def test_what_is_pending_follows_a_wall_clock_that_was_set(store: Store, step: timedelta, moved: timedelta) -> None:
    accept(store, "oncall")
    assert store.follow_clock(reading()).result() == timedelta(0)

    assert store.follow_clock(reading(step)).result() == moved

    assert store.next_due() == {"oncall": MOMENT + moved}
    assert store.next_give_up() == MOMENT + DAY + moved


def test_what_was_written_after_the_clock_was_set_on_is_right_already(store: Store) -> None:
    store.follow_clock(reading()).result()
    store.accept(acceptance(new_delivery(), now=MOMENT + HOUR + SECOND)).result()

    store.follow_clock(reading(HOUR, after=2 * SECOND)).result()

    assert store.next_due() == {"oncall": MOMENT + HOUR + SECOND}
    assert store.next_give_up() == MOMENT + DAY + HOUR + SECOND


def test_what_was_written_after_the_clock_was_set_back_is_sent_early_and_given_up_no_earlier(store: Store) -> None:
    store.follow_clock(reading()).result()
    store.accept(acceptance(new_delivery(), now=MOMENT - HOUR + SECOND)).result()

    store.follow_clock(reading(-HOUR, after=2 * SECOND)).result()

    assert store.next_due() == {"oncall": MOMENT - 2 * HOUR + SECOND}
    assert store.next_give_up() == MOMENT + DAY - HOUR + SECOND


def test_what_is_being_sent_has_as_long_as_before_when_the_clock_is_set(store: Store) -> None:
    delivery = claimed(store)
    store.follow_clock(reading()).result()

    store.follow_clock(reading(HOUR)).result()
    store.record(tried(delivery, "pending")).result()

    assert store.next_give_up() == MOMENT + DAY + HOUR


def test_a_step_of_the_clock_that_another_process_has_followed_is_not_followed_twice(store: Store) -> None:
    accept(store, "oncall")
    readings = [reading(), reading(DAY), reading(DAY)]

    steps = [store.follow_clock(one).result() for one in readings]

    assert steps == [timedelta(0), DAY, timedelta(0)]
    assert store.next_due() == {"oncall": MOMENT + DAY}
