"""A plugin that never returns: it is seen, its delivery goes on, its place is filled, and no other channel waits."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from gateway.channels import build
from gateway.channels.base import DELIVERED, Message, Outcome
from gateway.config.models import RetryConfig
from gateway.delivery.breaker import BreakerPolicy
from gateway.delivery.dispatcher import Dispatcher
from gateway.delivery.lane import MOST_STUCK, ChannelRuntime
from gateway.delivery.notice import Notice
from gateway.delivery.observers import Observers, Settled
from gateway.delivery.outbox import Outbox
from gateway.store.ledger import total
from gateway.store.opening import open_store
from gateway.testing.builders import notification, transition
from gateway.testing.http_sink import HttpSink

QUICK = {
    "timeout": 0.1,
    "grace": 0.1,
    "retry": RetryConfig(attempts=20, first="20ms", max="50ms", give_up="1h"),
    "breaker": BreakerPolicy(threshold=1000),
}


class HangingChannel:
    """Ignores its timeout: waits on a real socket for an answer that comes when the test says so, then answers well."""

    format = "text"
    default_rate = 0.0

    def __init__(self, name: str = "hanging", hangs: int = 1, width: int = 8) -> None:
        self.name, self.width = name, width
        self.sent: list[Message] = []
        self.delivered: list[Message] = []
        self.renewed = 0
        self.closed = False
        self._hangs_left = hangs
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()

    def send(self, message: Message, timeout: float) -> Outcome:
        with self._lock:
            self.sent.append(message)
            pair = socket.socketpair() if self._hangs_left > 0 else None
            self._hangs_left -= 1
            self._pairs += [pair] if pair else []
        if pair:
            pair[0].recv(1)  # for ever
            pair[0].close()
        with self._lock:
            self.delivered.append(message)
        return DELIVERED

    def answer(self) -> None:
        """Let all that hang return."""
        with self._lock:
            self._hangs_left = 0
            pairs, self._pairs = self._pairs, []
        for _, peer in pairs:
            peer.close()

    def renew(self) -> None:
        self.renewed += 1

    def close(self) -> None:
        self.closed = True


class Desk:
    def __init__(self, url: str, *runtimes: ChannelRuntime) -> None:
        self.notices: list[Notice] = []
        self.seen: list[object] = []
        observers = Observers()
        observers.add(self.seen.append)
        self.store = open_store(url)
        self.dispatcher = Dispatcher(
            self.store,
            {one.channel.name: one for one in runtimes},
            notify=self.notices.append,
            observers=observers,
        )
        self.outbox = Outbox(self.store, has_room=self.dispatcher.has_room)
        self.dispatcher.start()

    def tell(self, channel: str = "hanging", **more: object):
        accepted = self.outbox.accept(transition(), [notification(channel, **more)])
        self.dispatcher.hand_over(accepted.claimed)
        return accepted.deliveries[0]

    def attempts(self, delivery) -> list[tuple[str, str]]:
        return [(made.outcome, made.reason) for made in self.store.history(delivery.id).attempts]

    def status(self, delivery) -> str:
        return self.store.history(delivery.id).delivery.status

    def kinds(self) -> list[str]:
        return [notice.kind for notice in self.notices]

    def report(self):
        return self.dispatcher.reports()["hanging"]


@pytest.fixture
def hanging() -> Iterator[HangingChannel]:
    channel = HangingChannel()
    yield channel
    channel.answer()


@pytest.fixture
def opened(url: str, hanging: HangingChannel) -> Iterator:
    desks: list[Desk] = []

    def opening(*others: ChannelRuntime, **settings: object) -> Desk:
        desks.append(Desk(url, ChannelRuntime(hanging, **(QUICK | settings)), *others))
        return desks[-1]

    yield opening
    hanging.answer()
    for desk in desks:
        desk.dispatcher.close()
        desk.store.close()


def test_a_stuck_attempt_is_recorded_as_unknown_and_the_delivery_tried_again(opened, hanging, until) -> None:
    desk = opened()

    delivery = desk.tell()
    until(lambda: desk.status(delivery) == "delivered")

    assert desk.attempts(delivery) == [("unknown", "stuck"), ("delivered", "ok")]
    assert hanging.sent[0].idempotency_key == hanging.sent[1].idempotency_key
    assert hanging.renewed == 1
    assert desk.report().stuck == 1
    assert desk.kinds() == ["plugin_stuck"]


def test_what_a_stuck_attempt_says_in_the_end_counts_no_more(opened, hanging, until) -> None:
    desk = opened()
    delivery = desk.tell()
    until(lambda: desk.status(delivery) == "delivered")

    hanging.answer()
    until(lambda: desk.report().stuck == 0)

    assert len(hanging.delivered) == 2
    assert desk.attempts(delivery) == [("unknown", "stuck"), ("delivered", "ok")]
    assert total(desk.store.ledger()).delivered == 1
    assert all(line.balances for line in desk.store.ledger())
    assert [record.kept for record in desk.seen if isinstance(record, Settled)] == [True, True]


def test_a_plugin_of_one_send_at_a_time_gets_its_only_place_filled(opened, hanging, until) -> None:
    hanging.width = 1
    desk = opened()

    deliveries = [desk.tell() for _ in range(3)]
    until(lambda: all(desk.status(one) == "delivered" for one in deliveries))

    assert desk.report().stuck == 1


def test_a_channel_with_too_many_stuck_attempts_is_parked_until_one_returns(opened, hanging, until) -> None:
    hanging._hangs_left = 1000
    desk = opened()
    deliveries = [desk.tell() for _ in range(MOST_STUCK + 20)]

    until(lambda: desk.report().stuck >= MOST_STUCK)
    until(lambda: desk.report().sending == 0 and desk.report().queued == 0)
    asked = len(hanging.sent)

    assert MOST_STUCK <= asked < MOST_STUCK + hanging.width
    assert (desk.report().breaker, desk.report().reason) == ("open", "stuck")
    until(lambda: "channel_parked" in desk.kinds())
    until(lambda: {desk.store.history(one.id).delivery.reason for one in deliveries} == {"stuck"})
    assert len(hanging.sent) == asked

    hanging.answer()
    until(lambda: "channel_open" in desk.kinds())
    assert desk.report().stuck < MOST_STUCK


def test_a_channel_that_hangs_delays_no_other(opened, hanging, until) -> None:
    hanging._hangs_left = 1000
    with HttpSink() as sink:
        other = build("other", f"json://{sink.address}/hook")
        desk = opened(ChannelRuntime(other), timeout=60.0)
        for _ in range(20):
            desk.tell()
        until(lambda: desk.report().sending == hanging.width)

        deliveries = [desk.tell("other") for _ in range(20)]
        sink.wait_for(20)
        until(lambda: all(desk.status(one) == "delivered" for one in deliveries))

        assert desk.report().sending == hanging.width


def test_nobody_waits_for_ever_for_a_required_delivery(opened, hanging) -> None:
    desk = opened()
    delivery = desk.outbox.accept(transition(), [notification("hanging", required=True)]).required[0]

    outcome = desk.dispatcher.deliver_now(delivery)

    assert (outcome.kind, outcome.reason) == ("unknown", "stuck")
    assert desk.status(delivery) == "dead"
    assert desk.attempts(delivery) == [("unknown", "stuck")]


def test_the_end_does_not_wait_for_a_stuck_attempt(opened, hanging, until) -> None:
    hanging._hangs_left = 1000
    desk = opened(retry=RetryConfig(attempts=1))
    delivery = desk.tell()
    until(lambda: desk.status(delivery) == "dead")

    assert desk.dispatcher.drain(10.0) == 0
    desk.dispatcher.close()

    assert hanging.closed


def test_a_stuck_attempt_of_a_channel_that_an_edit_removed_is_given_up_too(opened, hanging, until) -> None:
    desk = opened(retry=RetryConfig(attempts=1))
    delivery = desk.tell()
    until(lambda: hanging.sent)

    desk.dispatcher.swap({})

    until(lambda: desk.status(delivery) == "dead")
    assert desk.attempts(delivery) == [("unknown", "stuck")]
    until(lambda: hanging.closed)
