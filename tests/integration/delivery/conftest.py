from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from gateway.config.models import RetryConfig
from gateway.delivery.breaker import BreakerPolicy
from gateway.delivery.dispatcher import Dispatcher
from gateway.delivery.lane import ChannelRuntime
from gateway.delivery.notification import Notification
from gateway.delivery.outbox import Outbox
from gateway.store.ledger import total
from gateway.store.opening import open_store
from gateway.store.rows import Accepted, Delivery, DeliveryHistory, LedgerLine
from gateway.testing.builders import notification, transition
from gateway.testing.channel import ScriptedChannel

QUICK_RETRY = RetryConfig(attempts=4, first="20ms", max="50ms", give_up="1h")
QUICK_BREAKER = BreakerPolicy(threshold=1000, first=0.1, longest=1.0)


class Desk:
    """A store, an outbox and a dispatcher at work on real threads and a real file."""

    def __init__(self, url: str, *channels: ScriptedChannel, node_ttl: timedelta, **settings: object) -> None:
        self.store = open_store(url, node_ttl=node_ttl)
        self.dispatcher = Dispatcher(self.store, runtimes(*channels, **settings))
        self.outbox = Outbox(self.store, has_room=self.dispatcher.has_room)
        self.dispatcher.start()

    def accept(self, *notifications: Notification) -> Accepted:
        accepted = self.outbox.accept(transition(), notifications)
        self.dispatcher.hand_over(accepted.claimed)
        return accepted

    def tell(self, channel: str = "oncall", **more: object) -> Delivery:
        return self.accept(notification(channel, **more)).deliveries[0]

    def history(self, delivery: Delivery) -> DeliveryHistory:
        history = self.store.history(delivery.id)
        assert history is not None
        return history

    def status(self, delivery: Delivery) -> str:
        return self.history(delivery).delivery.status

    def ledger(self) -> LedgerLine:
        lines = self.store.ledger()
        assert all(line.balances for line in lines)
        return total(lines)

    def close(self, grace: float = 5.0) -> int:
        released = self.dispatcher.close(grace)
        self.store.close()
        return released


def runtimes(*channels: ScriptedChannel, **settings: object) -> dict[str, ChannelRuntime]:
    defaults = {"timeout": 10.0, "retry": QUICK_RETRY, "breaker": QUICK_BREAKER}
    return {channel.name: ChannelRuntime(channel, **(defaults | settings)) for channel in channels}


@pytest.fixture
def runtimes_of() -> Callable[..., dict[str, ChannelRuntime]]:
    return runtimes


@pytest.fixture
def url(any_url: str) -> str:
    return any_url


@pytest.fixture
def open_desk(url: str) -> Iterator[Callable[..., Desk]]:
    """Opens desks on the same store; closes what the test leaves open."""
    desks: list[Desk] = []

    def open(*channels: ScriptedChannel, node_ttl: timedelta = timedelta(seconds=10), **settings: object) -> Desk:
        desks.append(Desk(url, *channels, node_ttl=node_ttl, **settings))
        return desks[-1]

    yield open
    for desk in desks:
        for lane in desk.dispatcher._lanes.values():
            lane.runtime.channel.gate.set()
        desk.close()
