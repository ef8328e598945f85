from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.rate import Rate
from gateway.delivery.rate import UNLIMITED, RateLimiter

THREE_PER_MINUTE = Rate(3, timedelta(minutes=1))


def test_a_burst_goes_at_once_and_the_next_waits_for_the_first_to_be_a_stretch_old() -> None:
    limiter = RateLimiter(THREE_PER_MINUTE)
    for second in (0.0, 10.0, 20.0):
        assert limiter.wait(second) == 0
        limiter.take(second)

    assert limiter.available(20) == 0
    assert limiter.wait(20) == 40
    assert limiter.available(60) == 1


def test_without_a_rate_nothing_waits() -> None:
    limiter = RateLimiter()
    for _ in range(1000):
        limiter.take(5.0)

    assert limiter.wait(5.0) == 0
    assert limiter.available(5.0) > 1000


def test_a_service_that_asks_for_a_pause_gets_it() -> None:
    limiter = RateLimiter()
    limiter.hold_until(30.0)
    limiter.hold_until(20.0)

    assert (limiter.available(10.0), limiter.wait(10.0)) == (0, 20.0)
    assert limiter.available(30.0) > 0


def test_another_rate_forgets_neither_what_went_nor_what_the_service_asked_for() -> None:
    limiter = RateLimiter(THREE_PER_MINUTE)
    for second in (0.0, 10.0, 20.0):
        limiter.take(second)
    limiter.hold_until(30.0)

    limiter.rate = Rate(1, timedelta(minutes=2))

    assert (limiter.available(25), limiter.wait(25)) == (0, 115.0), "two minutes after the last that went"
    limiter.rate = Rate(10, timedelta(minutes=1))
    assert (limiter.available(25), limiter.wait(25)) == (0, 5.0)
    limiter.rate = None
    assert (limiter.available(25), limiter.available(30)) == (0, UNLIMITED)


@given(
    count=st.integers(1, 5),
    per=st.integers(1, 60),
    pauses=st.lists(st.integers(0, 50), min_size=1, max_size=60),
)
def test_no_stretch_of_time_holds_more_than_the_rate_allows(count: int, per: int, pauses: list[int]) -> None:
    limiter = RateLimiter(Rate(count, timedelta(seconds=per)))
    now, sent = 0.0, []
    for pause in pauses:
        now += pause
        if limiter.available(now):
            assert limiter.wait(now) == 0
            limiter.take(now)
            sent.append(now)

    assert all(later - earlier >= per for earlier, later in zip(sent, sent[count:], strict=False))


@given(count=st.integers(1, 5), per=st.integers(1, 60), messages=st.integers(1, 40))
def test_waiting_as_long_as_told_is_long_enough(count: int, per: int, messages: int) -> None:
    limiter = RateLimiter(Rate(count, timedelta(seconds=per)))
    now = 1000.0
    for _ in range(messages):
        now += limiter.wait(now)
        assert limiter.wait(now) == 0
        assert limiter.available(now) > 0
        limiter.take(now)
