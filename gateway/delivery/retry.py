"""Retry: whether and when a delivery is tried again. Pure; told the time and the dice."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from gateway.channels.base import Outcome
from gateway.config.models import RetryConfig

_MOST_DOUBLINGS = 40
_SECOND = timedelta(seconds=1)
_LONGEST_REQUEST = timedelta(days=365)


def next_attempt(
    outcome: Outcome, attempts: int, policy: RetryConfig, give_up_at: datetime, now: datetime, random: Random
) -> datetime | None:
    """When to try again after ``outcome``; ``None`` to give up.

    Args:
        outcome: of the attempt just made; not a delivered one.
        attempts: how many count towards the limit, that one included.
        policy: the channel's ``retry``.
        give_up_at: no attempt is made later.
        now: the time.
        random: the source of jitter.

    The wait is anything up to ``first``, doubled for every further attempt and never above ``max``
    ("full jitter": deliveries that failed together come back apart). What the service asked for
    with Retry-After is waited in full, and a little more.
    """
    if outcome.kind == "permanent" or attempts >= policy.attempts:
        return None
    due_at = now + _wait(outcome, attempts, policy, random)
    return None if due_at > give_up_at else due_at


def _wait(outcome: Outcome, attempts: int, policy: RetryConfig, random: Random) -> timedelta:
    if outcome.retry_after is None:
        return random.random() * longest_wait(attempts, policy)
    asked_for = timedelta(seconds=max(0.0, min(outcome.retry_after, _LONGEST_REQUEST.total_seconds())))
    return asked_for + random.random() * policy.first


def longest_wait(attempts: int, policy: RetryConfig) -> timedelta:
    """The most that is waited after ``attempts`` attempts."""
    doublings = min(attempts - 1, _MOST_DOUBLINGS)
    return min(policy.max.total_seconds(), policy.first.total_seconds() * 2.0**doublings) * _SECOND
