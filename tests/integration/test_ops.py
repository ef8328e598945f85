"""The gateway's operators hear of its own troubles: through another channel, once in a while, and never in a circle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

from gateway import Task, states
from gateway.delivery.notice import Notice, NoticeKind
from gateway.delivery.notice import opened as opened_again
from gateway.ops import TITLES
from gateway.rounds import findings
from gateway.store.rows import DeliveryFilter

OPS = '[gateway]\nname = "my flows"\nops = ["box"]\n'
LOST = '[channel.lost]\nurl = "record://lost?fail=99&outcome={}"\n'
TOLD = '[[handler]]\nname = "told"\nto = "lost"\n'


def fail(gateway, times: int = 1) -> None:
    for _ in range(times):
        gateway(Task(name="work"), states.Running(), states.Failed("boom"))


def test_a_dead_letter_is_told_once_for_all_of_a_channel(write, opened, sent) -> None:
    gateway = opened(write(OPS + TOLD, LOST.format("permanent")), watch=False)

    fail(gateway, 5)
    gateway.drain()

    assert [message.title for message in sent.messages] == ["my flows: a message was given up"]
    assert "'told'" in sent.messages[0].body
    assert "work: Failed" in sent.messages[0].body


def test_a_parked_channel_is_told_through_the_others(write, opened, sent, until) -> None:
    gateway = opened(write(OPS.replace('["box"]', '["box", "lost"]') + TOLD, LOST.format("channel")), watch=False)

    fail(gateway)
    until(lambda: sent.messages)

    assert [message.title for message in sent.messages] == ["my flows: a channel is down"]
    handlers = {(row.handler, row.channel) for row in gateway.store.deliveries(DeliveryFilter())}
    assert ("(gateway)", "lost") not in handlers
    gateway.drain_seconds = 0


def test_a_refused_edit_is_told_with_its_place(write, opened, sent, until) -> None:
    gateway = opened(write(OPS + TOLD.replace('"lost"', '"box"')), watch=False)

    write(OPS + TOLD.replace('"lost"', '"bx"'))
    gateway.reload()
    until(lambda: sent.messages)

    assert "there is no channel 'bx'" in sent.messages[0].body


def test_a_message_to_operators_that_dies_is_told_nobody(write, opened) -> None:
    gateway = opened(
        write(
            OPS.replace('"box"', '"lost", "gone"') + TOLD,
            LOST.format("permanent") + LOST.format("permanent").replace("channel.lost", "channel.gone"),
        ),
        watch=False,
    )

    fail(gateway)
    gateway.drain()

    rows = gateway.store.deliveries(DeliveryFilter())
    assert sorted((row.handler, row.channel, row.status) for row in rows) == [
        ("(gateway)", "gone", "dead"),
        ("told", "lost", "dead"),
    ]


def test_a_channel_that_is_up_again_is_told_to_those_who_heard_that_it_was_down(write, opened, sent, until) -> None:
    gateway = opened(write(OPS + TOLD, LOST.format("channel").replace("fail=99", "fail=1")), watch=False)
    fail(gateway)
    until(lambda: len(sent.messages) == 1)
    gateway._ops.notify(opened_again("lost"))
    gateway._ops.notify(opened_again("lost"))
    gateway._ops.notify(opened_again("never-down"))
    until(lambda: len(sent.messages) == 2)
    assert gateway.store.counters()["transitions"] == 3

    assert [message.title for message in sent.messages] == [
        "my flows: a channel is down",
        "my flows: a channel is up again",
    ]
    assert sent.messages[1].severity == "success"
    gateway.drain_seconds = 0


def test_late_messages_are_told_with_their_number_and_age(write, opened, sent, until) -> None:
    gateway = opened(write(OPS + TOLD, LOST.format("channel")), watch=False)
    gateway.drain_seconds = 0
    fail(gateway, 2)
    until(lambda: sent.messages)

    early = list(findings(gateway.store, gateway.ruleset, datetime.now(UTC) + timedelta(minutes=59)))
    [late] = findings(gateway.store, gateway.ruleset, datetime.now(UTC) + timedelta(minutes=61))

    assert early == []
    assert (late.kind, late.subject, late.channel) == ("overdue", "lost", "lost")
    assert "2 deliveries to channel 'lost' have been owed for long, the oldest for 1h1m" in late.text


def test_how_late_is_late_can_be_said(write, opened, until) -> None:
    gateway = opened(write(OPS.replace("ops =", 'overdue = "5m"\nops =') + TOLD, LOST.format("channel")), watch=False)
    gateway.drain_seconds = 0
    fail(gateway)

    [late] = findings(gateway.store, gateway.ruleset, datetime.now(UTC) + timedelta(minutes=6))

    assert "A delivery to channel 'lost' has been owed for long" in late.text


def test_our_own_late_messages_are_told_nobody(write, opened, until) -> None:
    channels = LOST.format("channel").replace("channel.lost", "channel.gone")
    gateway = opened(write(OPS.replace('"box"', '"gone"') + TOLD.replace('"lost"', '"box"'), channels), watch=False)
    gateway.drain_seconds = 0
    gateway._ops.notify(Notice("reload_refused", "configuration", "wrong"))
    until(lambda: gateway.store.owed() == 1)

    assert list(findings(gateway.store, gateway.ruleset, datetime.now(UTC) + timedelta(days=2))) == []


def test_two_gateways_on_a_store_tell_a_thing_once(write, opened, sent, until) -> None:
    folder = write(OPS + TOLD, LOST.format("permanent"))
    gateways = [opened(folder, watch=False) for _ in range(2)]

    for gateway in gateways:
        gateway._ops.notify(Notice("store_nearly_full", "store", "little room is left"))
    until(lambda: gateways[0].store.counters()["duplicates"] == 1 and sent.messages)

    assert len(sent.messages) == 1


def test_every_notice_has_its_title() -> None:
    assert set(TITLES) == set(get_args(NoticeKind))
