from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.rate import Rate
from gateway.delivery.rate import UNLIMITED, RateLimiter, SharedLimiter
from gateway.store.rates import Grant, WantSlots, Window, granted

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


# kept by several nodes together


class Nodes:
    """Lanes of several nodes that share a rate through a store which answers when it is told to."""

    def __init__(self, rate: Rate, number: int = 2) -> None:
        self.now = 100.0
        self.window: Window = {}
        self.rate = rate
        self.asked: list[tuple[SharedLimiter, WantSlots]] = []
        self.decided: list[tuple[SharedLimiter, Grant]] = []
        self.limiters = [
            SharedLimiter("oncall", rate, lambda limiter, want: self.asked.append((limiter, want)))
            for _ in range(number)
        ]
        self.sent: list[float] = []

    def send(self, node: int, messages: int) -> int:
        """How many of ``messages`` a node sends before it has to wait for something."""
        sent = 0
        while sent < messages and self.limiters[node].permits(self.now, messages - sent):
            self.limiters[node].take(self.now)
            self.sent.append(self.now)
            sent += 1
        return sent

    def decide(self) -> None:
        """The store comes to a decision, by its own clock, which is ahead of the nodes'."""
        for limiter, want in self.asked:
            self.window, grant = granted(self.window, want, round((self.now + 1_000_000) * 1000))
            self.decided.append((limiter, grant))
        self.asked.clear()

    def hear(self) -> None:
        for limiter, grant in self.decided:
            limiter.hear(grant, self.now)
        self.decided.clear()

    def send_all(self, node: int, messages: int) -> None:
        """Send ``messages``, each as soon as it may."""
        while messages:
            messages -= self.send(node, messages)
            self.decide()
            self.hear()
            self.now += self.limiters[node].wait(self.now)

    def most_in_a_stretch(self) -> int:
        per = self.rate.per.total_seconds()
        return max((sum(at <= other < at + per - 1e-6 for other in self.sent) for at in self.sent), default=0)


def test_nothing_goes_before_there_is_a_slot_for_it() -> None:
    nodes = Nodes(THREE_PER_MINUTE)

    assert nodes.send(0, 5) == 0
    assert len(nodes.asked) == 1
    nodes.decide()
    assert nodes.send(0, 5) == 0
    nodes.hear()

    assert nodes.send(0, 5) == 1


def test_one_node_alone_has_the_whole_rate() -> None:
    nodes = Nodes(THREE_PER_MINUTE)

    nodes.send_all(0, 7)

    assert [round(at - 100) for at in nodes.sent] == [0, 0, 0, 60, 60, 60, 120]


def test_what_one_node_sends_another_does_not() -> None:
    nodes = Nodes(THREE_PER_MINUTE)
    nodes.send_all(0, 2)

    nodes.send_all(1, 2)

    assert [round(at - 100) for at in nodes.sent[:3]] == [0, 0, 0]
    assert nodes.sent[3] >= 160


def test_slots_that_are_not_used_are_there_for_others_soon_after() -> None:
    nodes = Nodes(Rate(4, timedelta(seconds=10)))
    nodes.limiters[0].permits(nodes.now, 4)
    nodes.decide()
    nodes.hear()
    nodes.now += 2
    assert nodes.send(0, 0) == 0

    nodes.send_all(1, 4)

    assert nodes.sent[:3] == [102.0] * 3
    assert nodes.sent[3] < 112


def test_slots_that_arrive_too_late_are_not_used_and_the_next_last_longer() -> None:
    nodes = Nodes(THREE_PER_MINUTE)
    nodes.send(0, 1)
    nodes.decide()
    nodes.now += 3
    nodes.hear()
    assert nodes.send(0, 1) == 0

    nodes.decide()
    nodes.now += 3
    nodes.hear()

    assert nodes.send(0, 1) == 1


def test_a_store_that_fails_is_asked_again_after_a_while() -> None:
    nodes = Nodes(THREE_PER_MINUTE)
    nodes.send(0, 1)
    nodes.limiters[0].hear(None, nodes.now)
    assert (nodes.send(0, 1), nodes.limiters[0].available(nodes.now)) == (0, 0)

    nodes.now += nodes.limiters[0].wait(nodes.now)
    nodes.asked.clear()
    nodes.send_all(0, 1)

    assert len(nodes.sent) == 1


def test_a_pause_the_service_asked_for_is_kept_with_slots_in_hand() -> None:
    nodes = Nodes(THREE_PER_MINUTE)
    nodes.send(0, 1)
    nodes.decide()
    nodes.hear()
    nodes.limiters[0].hold_until(nodes.now + 30)

    assert (nodes.send(0, 1), nodes.limiters[0].wait(nodes.now)) == (0, 30)


def test_windows_stay_small_however_large_the_rate() -> None:
    nodes = Nodes(Rate(100_000, timedelta(hours=1)))
    for _ in range(2_000):
        nodes.send_all(0, 3)
        nodes.now += 0.9

    assert len(nodes.window) < 300


def test_windows_from_before_the_databases_clock_was_set_back_do_not_hold_up_anybody() -> None:
    want = WantSlots("oncall", 1, 1.0, 1, 1.0)

    _, grant = granted({3_600_000: 1}, want, 0)

    assert grant.slots == 1


@given(
    st.integers(1, 12),
    st.sampled_from([0.2, 1.0, 60.0]),
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, 9),
            st.sampled_from([0, 1e-3, 0.07, 0.5, 7.0]),
            st.booleans(),
            st.booleans(),
        ),
        max_size=80,
    ),
)
def test_no_stretch_of_time_holds_more_than_the_rate_whoever_sends(
    count: int, per: float, steps: list[tuple[int, int, float, bool, bool]]
) -> None:
    nodes = Nodes(Rate(count, timedelta(seconds=per)), 3)
    for node, messages, pause, decides, hears in steps:
        nodes.send(node, messages)
        nodes.now += pause
        if decides:
            nodes.decide()
        if hears:
            nodes.hear()

    assert nodes.most_in_a_stretch() <= count
