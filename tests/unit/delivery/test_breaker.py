from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.base import DELIVERED, Outcome
from gateway.delivery.breaker import Breaker, BreakerPolicy

POLICY = BreakerPolicy(threshold=3, first=10, longest=60)
FAILED = Outcome("temporary", "http_503")
UNKNOWN = Outcome("unknown", "no_answer")
REVOKED = Outcome("channel", "http_401")
REFUSED = Outcome("permanent", "http_400")
SLOW_DOWN = Outcome("temporary", "http_429", retry_after=3)


def told(*outcomes: Outcome, now: float = 0.0) -> Breaker:
    breaker = Breaker(POLICY)
    for outcome in outcomes:
        breaker = breaker.after(outcome, now)
    return breaker


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ([FAILED, FAILED], "closed"),
        ([FAILED, UNKNOWN, FAILED], "open"),
        ([FAILED, FAILED, DELIVERED, FAILED], "closed"),
        ([FAILED, FAILED, REFUSED, FAILED], "closed"),
        ([SLOW_DOWN] * 9, "closed"),
        ([REVOKED], "open"),
    ],
)
def test_what_opens_it(outcomes: list[Outcome], state: str) -> None:
    assert told(*outcomes).state == state


def test_an_open_one_permits_a_single_probe_when_it_is_time() -> None:
    breaker = told(REVOKED)
    assert not breaker.permits(9)
    assert breaker.wait(4) == 6
    assert breaker.permits(10)

    probing = breaker.sending()

    assert probing.state == "half-open"
    assert not probing.permits(10)
    assert probing.wait(10) > 0


def test_a_probe_that_succeeds_closes_it_and_forgets_everything() -> None:
    breaker = told(REVOKED).sending().after(DELIVERED, 10)

    assert breaker == Breaker(POLICY)


def test_probes_that_fail_come_less_and_less_often_up_to_a_limit() -> None:
    breaker, now, waits = told(REVOKED), 0.0, []
    for _ in range(6):
        waits.append(breaker.wait(now))
        now = breaker.probe_at
        breaker = breaker.sending().after(FAILED, now)

    assert waits == [10, 20, 40, 60, 60, 60]


def test_a_probe_that_was_not_sent_leaves_the_chance_to_the_next() -> None:
    breaker = told(REVOKED).sending().unsent()

    assert breaker.permits(10)
    assert told().unsent() == told()


def test_an_attempt_that_began_before_it_opened_does_not_lengthen_the_wait() -> None:
    breaker = told(REVOKED)

    assert breaker.after(FAILED, 5) == breaker


def test_it_tells_what_opened_it() -> None:
    assert told(REVOKED).reason == "http_401"
    assert told(REVOKED).sending().after(DELIVERED, 10).reason == ""


@given(
    st.lists(
        st.tuples(st.sampled_from([FAILED, UNKNOWN, REVOKED, REFUSED, SLOW_DOWN, DELIVERED]), st.integers(0, 100)),
        max_size=60,
    )
)
def test_whatever_happens_it_permits_again_within_the_longest_wait(steps: list[tuple[Outcome, float]]) -> None:
    breaker, now = Breaker(POLICY), 0.0
    for outcome, pause in steps:
        now += pause
        if breaker.permits(now):
            breaker = breaker.sending().after(outcome, now)
        assert breaker.permits(now + POLICY.longest)
        assert breaker.wait(now) <= POLICY.longest
