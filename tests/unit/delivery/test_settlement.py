from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from gateway.channels.base import DELIVERED, Outcome
from gateway.config.models import RetryConfig
from gateway.delivery.settlement import Terms, settle
from gateway.store.rows import Attempt, Delivery, Record
from gateway.testing.builders import MOMENT, new_delivery

HOUR = timedelta(hours=1)
DELIVERY = Delivery(
    id=7,
    transition_seq=3,
    handler="load-failed",
    channel="oncall",
    status="claimed",
    reason="",
    due_at=MOMENT,
    attempts=0,
    forgiven=0,
    title="",
    body="load failed",
    format="text",
    severity="failure",
    required=False,
    created_at=MOMENT,
    updated_at=MOMENT,
    give_up_at=MOMENT + 24 * HOUR,
    give_up_after=24 * HOUR,
    owner=1,
)
FALLBACK = new_delivery("mail")
TERMS = Terms(RetryConfig(attempts=3), FALLBACK, opens_at=MOMENT + HOUR)


def settled(outcome: Outcome, delivery: Delivery = DELIVERY, terms: Terms = TERMS) -> Record:
    attempt = Attempt(MOMENT, outcome.kind, outcome.reason, outcome.detail, 5)
    return settle(delivery, outcome, attempt, terms, MOMENT, Random(1))


@pytest.mark.parametrize(
    ("outcome", "attempts", "status"),
    [
        (DELIVERED, 0, "delivered"),
        (Outcome("temporary", "http_503"), 0, "pending"),
        (Outcome("temporary", "http_503"), 1, "pending"),
        (Outcome("temporary", "http_503"), 2, "dead"),
        (Outcome("unknown", "no_answer"), 0, "pending"),
        (Outcome("permanent", "http_400"), 0, "dead"),
        (Outcome("channel", "http_401"), 0, "pending"),
        (Outcome("channel", "http_401"), 99, "pending"),
    ],
)
def test_what_becomes_of_a_delivery(outcome: Outcome, attempts: int, status: str) -> None:
    record = settled(outcome, replace(DELIVERY, attempts=attempts))

    assert (record.status, record.reason) == (status, outcome.reason)
    assert (record.fallback is FALLBACK) is (status == "dead")


def test_a_parked_channel_costs_no_attempt_and_is_asked_again_when_it_may_be_open() -> None:
    record = settled(Outcome("channel", "http_401"))

    assert not record.counted
    assert record.due_at == MOMENT + HOUR


def test_a_channel_that_is_parked_beyond_the_time_to_give_up_ends_the_delivery() -> None:
    record = settled(Outcome("channel", "http_401"), replace(DELIVERY, give_up_at=MOMENT + HOUR / 2))

    assert (record.status, record.fallback) == ("dead", FALLBACK)


def test_forgiven_attempts_do_not_count() -> None:
    assert settled(Outcome("temporary", "http_503"), replace(DELIVERY, attempts=9, forgiven=8)).status == "pending"


def test_somebody_who_waits_for_the_answer_gets_no_retry() -> None:
    terms = replace(TERMS, last=True)

    assert settled(Outcome("temporary", "http_503"), terms=terms).status == "dead"
    assert settled(Outcome("channel", "http_401"), terms=terms).status == "dead"
    assert settled(DELIVERED, terms=terms).status == "delivered"
