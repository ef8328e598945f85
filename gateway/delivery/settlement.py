"""Settlement: what follows from an outcome. Decides, and leaves the writing to others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from random import Random

from gateway.channels.base import Outcome
from gateway.config.models import RetryConfig
from gateway.delivery.retry import next_attempt
from gateway.store.rows import Attempt, Delivery, NewDelivery, Record


@dataclass(frozen=True, slots=True)
class Terms:
    """What a settlement goes by.

    Attributes:
        retry: the channel's retry policy.
        fallback: what is sent instead once the delivery is given up.
        opens_at: when a channel that takes no message at all is asked again.
        last: there is no other attempt: somebody waits for the answer.
    """

    retry: RetryConfig
    fallback: NewDelivery | None
    opens_at: datetime
    last: bool = False


def settle(
    delivery: Delivery, outcome: Outcome, attempt: Attempt, terms: Terms, now: datetime, random: Random
) -> Record:
    """The record of an attempt: the end of the delivery, or when it is due again."""
    if outcome.kind == "delivered":
        return Record(delivery, "delivered", outcome.reason, now, now, attempt)
    counted = outcome.kind != "channel"  # a parked channel must not eat up its deliveries' attempts
    due_at = None if terms.last else _due_again(delivery, outcome, terms, now, random)
    if due_at is None:
        return Record(delivery, "dead", outcome.reason, now, now, attempt, counted, terms.fallback)
    return Record(delivery, "pending", outcome.reason, now, due_at, attempt, counted)


def _due_again(delivery: Delivery, outcome: Outcome, terms: Terms, now: datetime, random: Random) -> datetime | None:
    if outcome.kind == "channel":
        return terms.opens_at if terms.opens_at <= delivery.give_up_at else None
    counted = delivery.attempts + 1 - delivery.forgiven
    return next_attempt(outcome, counted, terms.retry, delivery.give_up_at, now, random)


def give_up(delivery: Delivery, reason: str, fallback: NewDelivery | None, now: datetime) -> Record:
    """The record of a delivery that ends without another attempt."""
    return Record(delivery, "dead", reason, now, now, fallback=fallback)


def postpone(delivery: Delivery, reason: str, due_at: datetime, now: datetime) -> Record:
    """The record of a delivery that goes back to wait in the store."""
    return Record(delivery, "pending", reason, now, due_at)
