"""Sending, retrying, giving up: real threads on a real store, with channels that do as they are told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.channels.base import Message, Outcome
from gateway.config.models import RetryConfig
from gateway.config.rate import Rate
from gateway.delivery.breaker import BreakerPolicy
from gateway.delivery.dispatcher import Dispatcher
from gateway.delivery.lane import ChannelRuntime
from gateway.delivery.outbox import Outbox
from gateway.errors import StoreError
from gateway.store.ledger import total
from gateway.store.opening import open_store, opener
from gateway.store.rows import Delivery, DeliveryFilter
from gateway.store.store import Store
from gateway.store.writer import Commit
from gateway.testing.builders import notification, transition
from gateway.testing.channel import ScriptedChannel
from gateway.testing.clock import HandMovedClock

BUSY = Outcome("temporary", "http_503")
REFUSED = Outcome("permanent", "http_400")
REVOKED = Outcome("channel", "http_401")
LOST = Outcome("unknown", "no_answer")

Until = Callable[[Callable[[], object]], None]


def bodies(channel: ScriptedChannel) -> list[str]:
    return [message.body for message in channel.delivered]


def test_what_is_accepted_is_delivered_and_has_a_receipt(open_desk: Any) -> None:
    oncall = ScriptedChannel()
    desk = open_desk(oncall)

    delivery = desk.tell(body="load failed", title="Load", severity="failure", format="markdown")

    assert desk.dispatcher.drain(20) == 0
    history = desk.history(delivery)
    assert (history.delivery.status, history.attempts[0].outcome) == ("delivered", "delivered")
    (message,) = oncall.delivered
    assert (message.body, message.title, message.severity, message.format) == (
        "load failed",
        "Load",
        "failure",
        "markdown",
    )


def test_a_channel_that_hangs_delays_no_other(open_desk: Any, until: Until) -> None:
    slow, quick = ScriptedChannel("slow", width=1), ScriptedChannel("quick")
    slow.gate.clear()
    desk = open_desk(slow, quick)

    for _ in range(20):
        desk.tell("slow")
    for _ in range(20):
        desk.tell("quick")

    until(lambda: len(quick.delivered) == 20)
    assert not slow.delivered
    slow.gate.set()
    assert desk.dispatcher.drain(20) == 0
    assert len(slow.delivered) == 20


def test_no_more_sends_run_at_once_than_the_channel_is_wide(open_desk: Any) -> None:
    oncall = ScriptedChannel(width=2)
    desk = open_desk(oncall)

    for _ in range(30):
        desk.tell()

    assert desk.dispatcher.drain(20) == 0
    assert oncall.most_at_once <= 2


def test_a_failed_attempt_is_made_again_with_the_same_idempotency_key(open_desk: Any) -> None:
    oncall = ScriptedChannel(script=[BUSY, LOST])
    desk = open_desk(oncall)

    delivery = desk.tell()

    assert desk.dispatcher.drain(20) == 0
    assert [attempt.outcome for attempt in desk.history(delivery).attempts] == ["temporary", "unknown", "delivered"]
    assert len({message.idempotency_key for message in oncall.attempts}) == 1


def test_different_deliveries_have_different_idempotency_keys(open_desk: Any) -> None:
    oncall = ScriptedChannel()
    desk = open_desk(oncall)
    for _ in range(5):
        desk.tell()
    desk.dispatcher.drain(20)

    assert len({message.idempotency_key for message in oncall.delivered}) == 5


def test_a_service_that_names_a_time_is_not_asked_earlier_by_any_delivery(open_desk: Any) -> None:
    asked_at: list[float] = []

    class Timed(ScriptedChannel):
        def send(self, message: Message, timeout: float) -> Outcome:
            asked_at.append(time.monotonic())
            return super().send(message, timeout)

    desk = open_desk(Timed(script=[Outcome("temporary", "http_429", retry_after=0.5)], width=1))

    for _ in range(3):
        desk.tell()

    assert desk.dispatcher.drain(20) == 0
    assert len(asked_at) == 4
    assert asked_at[1] - asked_at[0] >= 0.5


def test_a_delivery_out_of_attempts_is_a_dead_letter_that_can_be_retried_by_hand(open_desk: Any, until: Until) -> None:
    oncall = ScriptedChannel(script=[BUSY] * 4)
    desk = open_desk(oncall)
    delivery = desk.tell()
    until(lambda: desk.status(delivery) == "dead")
    assert len(oncall.attempts) == 4

    desk.store.retry(delivery.id, desk.history(delivery).delivery.updated_at).result()
    desk.dispatcher.look()

    until(lambda: desk.status(delivery) == "delivered")
    assert len(desk.history(delivery).attempts) == 5


def test_what_is_refused_for_good_is_not_tried_again(open_desk: Any, until: Until) -> None:
    oncall = ScriptedChannel(script=[REFUSED])
    desk = open_desk(oncall)

    delivery = desk.tell()

    until(lambda: desk.status(delivery) == "dead")
    assert (desk.history(delivery).delivery.reason, len(oncall.attempts)) == ("http_400", 1)


def test_a_channel_that_gives_up_hands_over_to_its_fallback_once(open_desk: Any, until: Until) -> None:
    oncall, mail = ScriptedChannel(script=[REFUSED]), ScriptedChannel("mail", script=[REFUSED] * 2)
    desk = open_desk(oncall, mail)
    desk.dispatcher.swap({name: replaced(lane.runtime, other(name)) for name, lane in desk.dispatcher._lanes.items()})

    delivery = desk.tell(body="help")

    until(lambda: desk.ledger().dead == 2)
    assert [message.body for message in mail.attempts] == ["help"]
    fallback = desk.store.deliveries(DeliveryFilter(channel="mail"))[0]
    assert fallback.fallback_of == delivery.id
    assert desk.ledger().accepted == 2


def other(name: str) -> str:
    return "mail" if name == "oncall" else "oncall"


def replaced(runtime: Any, fallback: str) -> Any:
    return replace(runtime, fallback=fallback)


def test_a_parked_channel_is_probed_by_one_and_costs_the_others_nothing(open_desk: Any, until: Until) -> None:
    oncall = ScriptedChannel(script=[REVOKED] * 3, width=1)
    desk = open_desk(oncall, breaker=BreakerPolicy(threshold=5, first=0.1, longest=0.2))

    deliveries = [desk.tell() for _ in range(10)]
    until(lambda: desk.dispatcher.reports()["oncall"].breaker != "closed")

    assert desk.dispatcher.drain(20) == 0
    assert len(oncall.attempts) == 13
    assert sum(len(desk.history(delivery).attempts) for delivery in deliveries) == 13
    assert desk.dispatcher.reports()["oncall"].breaker == "closed"


def test_what_waits_for_a_parked_channel_waits_in_the_store_with_a_reason(open_desk: Any, until: Until) -> None:
    oncall = ScriptedChannel(script=[REVOKED] * 100, width=1)
    oncall.gate.clear()
    desk = open_desk(oncall, breaker=BreakerPolicy(first=60))
    deliveries = [desk.tell() for _ in range(5)]
    oncall.gate.set()

    until(lambda: [desk.status(delivery) for delivery in deliveries] == ["pending"] * 5)

    assert {desk.history(delivery).delivery.reason for delivery in deliveries} == {"http_401", "parked"}
    assert desk.status(desk.tell()) == "pending"
    assert len(oncall.attempts) == 1


def test_a_rate_is_kept_and_what_is_too_much_waits_in_the_store(open_desk: Any, until: Until) -> None:
    oncall = ScriptedChannel()
    desk = open_desk(oncall, rate=Rate(3, timedelta(seconds=0.5)))
    began = time.monotonic()

    for _ in range(8):
        desk.tell()
    until(lambda: desk.store.next_due())

    assert desk.dispatcher.drain(20) == 0
    assert time.monotonic() - began >= 1.0
    assert len(oncall.delivered) == 8


def test_a_flood_beyond_the_memory_is_delivered_to_the_last(open_desk: Any) -> None:
    oncall = ScriptedChannel(width=8)
    oncall.gate.clear()
    desk = open_desk(oncall)

    desk.accept(*(notification(body=str(n)) for n in range(500)))
    desk.accept(*(notification(body=str(n)) for n in range(500, 1000)))
    oncall.gate.set()

    assert desk.dispatcher.drain(40) == 0
    assert sorted(map(int, bodies(oncall))) == list(range(1000))


def test_a_required_delivery_is_made_in_the_calling_thread(open_desk: Any) -> None:
    oncall = ScriptedChannel()
    desk = open_desk(oncall)
    (delivery,) = desk.accept(notification(required=True)).required

    outcome = desk.dispatcher.deliver_now(delivery)

    assert outcome.kind == "delivered"
    assert desk.status(delivery) == "delivered"


def test_a_required_delivery_that_fails_is_dead_and_never_sent_later(open_desk: Any) -> None:
    oncall = ScriptedChannel(script=[BUSY])
    desk = open_desk(oncall)
    (delivery,) = desk.accept(notification(required=True)).required

    assert desk.dispatcher.deliver_now(delivery) == BUSY

    assert desk.status(delivery) == "dead"
    assert desk.dispatcher.drain(1) == 0
    assert len(oncall.attempts) == 1


def test_a_required_delivery_may_be_saved_by_the_fallback(open_desk: Any) -> None:
    oncall, mail = ScriptedChannel(script=[BUSY]), ScriptedChannel("mail")
    desk = open_desk(oncall, mail, fallback="mail")
    (delivery,) = desk.accept(notification(required=True)).required

    assert desk.dispatcher.deliver_now(delivery).kind == "delivered"
    assert (len(mail.delivered), desk.ledger().owed) == (1, 0)


def test_a_required_delivery_does_not_exceed_the_width_and_does_not_wait_for_ever(open_desk: Any, until: Until) -> None:
    oncall = ScriptedChannel(width=1)
    oncall.gate.clear()
    desk = open_desk(oncall, timeout=0.5)
    desk.tell()
    until(lambda: oncall.attempts)
    (delivery,) = desk.accept(notification(required=True)).required

    assert desk.dispatcher.deliver_now(delivery).kind in ("temporary", "unknown")
    assert oncall.most_at_once == 1
    assert desk.status(delivery) == "dead"


def test_workers_wait_while_a_required_delivery_takes_the_only_place(open_desk: Any, until: Until) -> None:
    oncall = ScriptedChannel(width=1)
    oncall.gate.clear()
    desk = open_desk(oncall)
    (delivery,) = desk.accept(notification(required=True)).required
    waiting = threading.Thread(target=desk.dispatcher.deliver_now, args=[delivery])
    waiting.start()
    until(lambda: oncall.attempts)

    desk.tell()
    oncall.gate.wait(0.1)
    oncall.gate.set()
    waiting.join()

    assert desk.dispatcher.drain(20) == 0
    assert (oncall.most_at_once, len(oncall.delivered)) == (1, 2)


def test_a_required_delivery_to_a_channel_that_is_gone_fails(open_desk: Any) -> None:
    desk = open_desk(ScriptedChannel())
    (delivery,) = desk.accept(notification("gone", required=True)).required

    assert desk.dispatcher.deliver_now(delivery).reason == "channel_removed"
    assert desk.status(delivery) == "dead"


@pytest.mark.parametrize("raised", [RuntimeError, SystemExit], ids=lambda kind: kind.__name__)
def test_a_channel_that_raises_loses_nothing(open_desk: Any, until: Until, raised: type[BaseException]) -> None:
    class Broken(ScriptedChannel):
        def send(self, message: Message, timeout: float) -> Outcome:
            super().send(message, timeout)
            if len(self.attempts) == 1:
                raise raised("secret://token")
            return Outcome("delivered", "ok")

    desk = open_desk(Broken())

    delivery = desk.tell()

    until(lambda: desk.status(delivery) == "delivered")
    first = desk.history(delivery).attempts[0]
    assert (first.outcome, first.reason, first.detail) == ("unknown", "plugin_error", raised.__name__)


def test_deliveries_that_wait_past_their_time_are_given_up(open_desk: Any, until: Until) -> None:
    oncall, mail = ScriptedChannel(script=[REVOKED] * 100, width=1), ScriptedChannel("mail")
    desk = open_desk(oncall, mail, fallback="mail", breaker=BreakerPolicy(first=60))
    desk.tell(give_up=timedelta(hours=1))
    until(lambda: desk.dispatcher.reports()["oncall"].breaker == "open")

    late = desk.tell(give_up=timedelta(seconds=0.3))

    until(lambda: desk.status(late) == "dead")
    assert desk.history(late).delivery.reason == "give_up"
    until(lambda: len(mail.delivered) == 1)


def test_after_a_swap_new_deliveries_take_the_new_channel_and_attempts_in_progress_the_old(
    open_desk: Any, runtimes_of: Any, until: Until
) -> None:
    old, new = ScriptedChannel(width=1), ScriptedChannel(width=1)
    old.gate.clear()
    desk = open_desk(old)
    for body in ("first", "second", "third"):
        desk.tell(body=body)
    until(lambda: old.attempts)

    desk.dispatcher.swap(runtimes_of(new))
    until(lambda: len(new.delivered) == 2)
    assert not old.closed
    old.gate.set()

    assert desk.dispatcher.drain(20) == 0
    until(lambda: old.closed)
    assert (bodies(old), sorted(bodies(new))) == (["first"], ["second", "third"])
    assert not new.closed


def test_a_channel_that_stays_keeps_its_queue_and_its_breaker(open_desk: Any, runtimes_of: Any, until: Until) -> None:
    oncall = ScriptedChannel(script=[REVOKED])
    desk = open_desk(oncall, breaker=BreakerPolicy(first=60))
    desk.tell()
    until(lambda: desk.dispatcher.reports()["oncall"].breaker == "open")

    desk.dispatcher.swap(runtimes_of(oncall, ScriptedChannel("mail")))

    assert desk.dispatcher.reports()["oncall"].breaker == "open"
    assert not oncall.closed


def test_deliveries_to_a_removed_channel_stay_owed_until_it_comes_back(
    open_desk: Any, runtimes_of: Any, until: Until
) -> None:
    old, back = ScriptedChannel(width=1), ScriptedChannel()
    old.gate.clear()
    desk = open_desk(old)
    first = desk.tell(body="first")
    until(lambda: old.attempts)
    queued, late = desk.tell(body="queued"), None

    desk.dispatcher.swap({})
    late = desk.tell(body="late")
    old.gate.set()
    until(lambda: desk.status(first) == "delivered")
    until(lambda: desk.status(queued) == "pending")
    assert desk.history(queued).delivery.reason == "channel_removed"
    assert desk.status(late) == "pending"

    desk.dispatcher.swap(runtimes_of(back))

    assert desk.dispatcher.drain(20) == 0
    assert sorted(bodies(back)) == ["late", "queued"]


def test_closing_finishes_what_is_being_sent_and_gives_back_the_rest(open_desk: Any, until: Until) -> None:
    oncall = ScriptedChannel(width=1)
    oncall.gate.clear()
    desk = open_desk(oncall)
    for body in ("first", "second", "third"):
        desk.tell(body=body)
    until(lambda: oncall.attempts)
    threading.Timer(0.2, oncall.gate.set).start()

    assert desk.dispatcher.close(10) == 2

    assert bodies(oncall) == ["first"]
    assert (desk.ledger().delivered, desk.ledger().owed) == (1, 2)
    assert oncall.closed


def test_closing_does_not_wait_for_ever(open_desk: Any, until: Until) -> None:
    oncall = ScriptedChannel(width=1)
    oncall.gate.clear()
    desk = open_desk(oncall)
    desk.tell()
    until(lambda: oncall.attempts)
    began = time.monotonic()

    assert desk.dispatcher.close(0.1) == 1
    assert time.monotonic() - began < 5


def test_what_is_owed_goes_out_when_a_dispatcher_is_next_started(open_desk: Any) -> None:
    hanging, oncall = ScriptedChannel(), ScriptedChannel()
    hanging.gate.clear()
    desk = open_desk(hanging)
    desk.accept(*(notification(body=str(n)) for n in range(10)))
    desk.close(0.0)

    again = open_desk(oncall)

    assert again.dispatcher.drain(20) == 0
    assert len(oncall.delivered) == 10


def test_draining_ends_at_once_when_what_is_owed_cannot_go_in_time(open_desk: Any, until: Until) -> None:
    oncall = ScriptedChannel(script=[REVOKED] * 9)
    desk = open_desk(oncall, breaker=BreakerPolicy(first=600))
    delivery = desk.tell()
    until(lambda: desk.history(delivery).attempts)
    began = time.monotonic()

    assert desk.dispatcher.drain(30) == 1
    assert time.monotonic() - began < 10


def test_two_dispatchers_on_one_store_send_nothing_twice(open_desk: Any, until: Until) -> None:
    one, two = ScriptedChannel(), ScriptedChannel()
    first, second = open_desk(one), open_desk(two)

    for n in range(100):
        (first if n % 2 else second).accept(notification(body=f"a{n}"), notification(body=f"b{n}"))

    until(lambda: first.store.owed() == 0)
    sent = bodies(one) + bodies(two)
    assert len(sent) == len(set(sent)) == 200
    assert first.ledger().delivered == 200


def test_an_attempt_that_outlasts_its_limit_is_reported(open_desk: Any, until: Until) -> None:
    class Stuck(ScriptedChannel):
        def send(self, message: Message, timeout: float) -> Outcome:
            return super().send(message, 30)

    stuck = Stuck()
    stuck.gate.clear()
    desk = open_desk(stuck, timeout=0.01)
    desk.tell()

    until(lambda: desk.dispatcher.reports()["oncall"].overdue == 1)


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(hours=-1)], ids=["forwards", "backwards"])
def test_a_wall_clock_that_is_set_neither_freezes_retries_nor_fires_them_early(
    sqlite_url: str, step: timedelta, runtimes_of: Any, until: Until
) -> None:
    clock, oncall = HandMovedClock(), ScriptedChannel(script=[BUSY])
    store = open_store(sqlite_url)
    slow_retry = RetryConfig(first="10m", max="10m")
    dispatcher = Dispatcher(store, runtimes_of(oncall, retry=slow_retry), clock)
    outbox = Outbox(store, clock, dispatcher.has_room)
    dispatcher.start()
    dispatcher.hand_over(outbox.accept(transition(), [notification()]).claimed)
    until(lambda: "oncall" in store.next_due())
    wait = store.next_due()["oncall"] - clock.now()

    clock.set(clock.now() + step)
    until(lambda: abs(store.next_due()["oncall"] - clock.now() - wait) < timedelta(seconds=1))
    assert len(oncall.attempts) == 1
    clock.advance(wait)

    until(lambda: oncall.delivered)
    dispatcher.close()
    store.close()


def test_what_was_queued_while_the_store_was_away_is_sent_when_it_is_back(
    sqlite_url: str, tmp_path: Path, until: Until
) -> None:
    oncall = ScriptedChannel(width=1)
    with closing(open_store(sqlite_url, node_ttl=timedelta(seconds=0.4))) as store:
        dispatcher = Dispatcher(store, {"oncall": ChannelRuntime(oncall)})
        outbox = Outbox(store, has_room=dispatcher.has_room)
        dispatcher.start()
        claimed = outbox.accept(transition(), [notification()]).claimed

        (tmp_path / "gateway.db").rename(tmp_path / "elsewhere")
        until(lambda: store.seconds_since_beat() > 0.3)
        dispatcher.hand_over(claimed)
        until(lambda: not dispatcher.reports()["oncall"].queued and not dispatcher.reports()["oncall"].sending)
        assert not oncall.attempts
        (tmp_path / "elsewhere").rename(tmp_path / "gateway.db")

        until(lambda: oncall.delivered)
        dispatcher.close()
        assert store.counters()["late_records"] == 0


class RefusingOnce(Store):
    """A store that refuses the first claim for the channel ``refused``."""

    refused = ""

    def claim(self, channel: str, limit: int, now: datetime) -> Future[tuple[Delivery, ...]]:
        if channel != self.refused:
            return super().claim(channel, limit, now)
        self.refused = ""
        answer: Future[tuple[Delivery, ...]] = Future()
        answer.set_exception(StoreError("not now"))
        return answer


def test_what_one_channel_claims_is_sent_though_another_is_refused(sqlite_url: str, until: Until) -> None:
    channels = [ScriptedChannel("first"), ScriptedChannel("second")]
    with closing(RefusingOnce(opener(sqlite_url), 10.0)) as store:
        store.refused = "second"
        Outbox(store).accept(transition(), [notification("first"), notification("second")])
        dispatcher = Dispatcher(store, {one.name: ChannelRuntime(one) for one in channels})

        dispatcher.start()

        until(lambda: all(one.delivered for one in channels))
        dispatcher.close()


def test_what_waited_too_long_is_given_up_together(sqlite_url: str, until: Until) -> None:
    commits: list[Commit] = []
    with closing(open_store(sqlite_url)) as store:
        late = [notification(give_up=timedelta(0)) for _ in range(100)]
        Outbox(store).accept(transition(), late)
        store.on_commit(commits.append)
        dispatcher = Dispatcher(store, {}, HandMovedClock(store.now() + timedelta(hours=2)))

        dispatcher.start()

        until(lambda: total(store.ledger()).dead == 100)
        dispatcher.close()
    assert len(commits) < 20
