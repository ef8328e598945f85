from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.base import Outcome
from gateway.config.models import RetryConfig
from gateway.delivery.retry import longest_wait, next_attempt
from gateway.testing.builders import MOMENT

SECOND = timedelta(seconds=1)
LATE = MOMENT + timedelta(days=365 * 20)
BUSY = Outcome("temporary", "http_503")

policies = st.builds(
    lambda attempts, first, more: RetryConfig(
        attempts=attempts, first=f"{first}s", max=f"{first + more}s", give_up="1d"
    ),
    st.integers(1, 1000),
    st.integers(1, 10_000),
    st.integers(0, 1_000_000),
)


@given(policy=policies, attempts=st.integers(1, 999), seed=st.integers())
def test_the_wait_is_never_negative_and_never_above_its_bound(policy: RetryConfig, attempts: int, seed: int) -> None:
    due_at = next_attempt(BUSY, attempts, policy, LATE, MOMENT, Random(seed))

    if attempts >= policy.attempts:
        assert due_at is None
    else:
        assert due_at is not None
        assert timedelta(0) <= due_at - MOMENT <= longest_wait(attempts, policy)


@given(policy=policies, attempts=st.integers(1, 999))
def test_the_bound_grows_to_max_and_stays_there(policy: RetryConfig, attempts: int) -> None:
    bound, next_bound = longest_wait(attempts, policy), longest_wait(attempts + 1, policy)

    assert policy.first <= bound <= next_bound <= policy.max
    assert next_bound in (2 * bound, policy.max)


@given(policy=policies, attempts=st.integers(1, 999), asked=st.floats(0, 1e12), seed=st.integers())
def test_what_the_service_asks_for_is_waited(policy: RetryConfig, attempts: int, asked: float, seed: int) -> None:
    outcome = Outcome("temporary", "http_429", retry_after=asked)

    due_at = next_attempt(outcome, attempts, policy, LATE, MOMENT, Random(seed))

    if due_at is not None:
        assert due_at - MOMENT >= min(asked, 365 * 86400.0) * SECOND - timedelta(microseconds=1)


@given(policy=policies, attempts=st.integers(1, 999), seconds=st.integers(0, 10_000), seed=st.integers())
def test_no_attempt_is_made_after_the_time_to_give_up(
    policy: RetryConfig, attempts: int, seconds: int, seed: int
) -> None:
    give_up_at = MOMENT + seconds * SECOND

    due_at = next_attempt(BUSY, attempts, policy, give_up_at, MOMENT, Random(seed))

    assert due_at is None or due_at <= give_up_at


@pytest.mark.parametrize(
    ("outcome", "attempts", "again"),
    [
        (Outcome("temporary", "http_503"), 1, True),
        (Outcome("unknown", "no_answer"), 1, True),
        (Outcome("permanent", "http_400"), 1, False),
        (Outcome("temporary", "http_503"), 7, True),
        (Outcome("temporary", "http_503"), 8, False),
    ],
)
def test_what_is_tried_again(outcome: Outcome, attempts: int, again: bool) -> None:
    due_at = next_attempt(outcome, attempts, RetryConfig(), LATE, MOMENT, Random(1))

    assert (due_at is not None) is again


def test_deliveries_that_failed_together_come_back_apart() -> None:
    random = Random(1)

    waits = {next_attempt(BUSY, 3, RetryConfig(), LATE, MOMENT, random) for _ in range(100)}

    assert len(waits) == 100
