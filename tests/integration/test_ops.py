"""The gateway's operators hear of its own troubles: through another channel, once in a while, and never in a circle."""

from __future__ import annotations

from gateway import Task, states
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


def test_a_refused_edit_is_told_with_its_place(write, opened, sent) -> None:
    gateway = opened(write(OPS + TOLD.replace('"lost"', '"box"')), watch=False)

    write(OPS + TOLD.replace('"lost"', '"bx"'))
    gateway.reload()
    gateway.drain()

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
