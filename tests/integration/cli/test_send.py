"""send: one real attempt through a channel."""

from __future__ import annotations

import json
import socket

import pytest

from gateway.testing import HttpSink, answer


@pytest.fixture
def sink():
    with HttpSink() as running:
        yield running


def channels(address: str) -> str:
    return (
        f'[channel.hook]\nurl = "json://{address}/tell"\n'
        '[channel.box]\nurl = "record://box"\n'
        '[channel.lost]\nurl = {env = "NOT_SET_ANYWHERE"}\n'
        '[channel.both]\nall = ["hook", "box"]\n'
        '[[handler]]\nname = "all"\nto = ["both", "lost"]\n'
    )


def test_a_message_arrives_and_the_secrets_of_other_channels_are_not_needed(gateway, declare, sink) -> None:
    declare(channels(sink.address))

    sent = gateway("send", "hook", "Works.", "--title", "A test", "--severity", "warning")

    assert sent.returncode == 0
    assert sent.stdout.startswith("hook: delivered in ")
    [request] = sink.received
    assert (request.path, request.json()["title"], request.json()["message"]) == ("/tell", "A test", "Works.")
    assert request.json()["type"] == "warning"


def test_the_message_may_come_from_standard_input(gateway, declare, sink) -> None:
    declare(channels(sink.address))

    gateway("send", "hook", "-", input="two\nlines")

    assert sink.received[0].json()["message"] == "two\nlines"


def test_a_group_gets_one_attempt_for_each_member(gateway, declare, sink) -> None:
    declare(channels(sink.address))

    sent = gateway("send", "both", "--json")

    assert [one["channel"] for one in json.loads(sent.stdout)] == ["hook", "box"]
    assert len(sink.received) == 1


def test_a_refused_message_is_told_with_the_reason(gateway, declare, sink) -> None:
    declare(channels(sink.address))
    sink.behaviour = answer(404, "no such hook")

    sent = gateway("send", "hook")

    assert sent.returncode == 1
    assert "hook: not delivered: " in sent.stderr
    assert "http_404 (Not Found)" in sent.stderr


def test_a_closed_port_is_told_without_the_secret_in_the_address(gateway, declare) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    declare(channels(f"ana:hunter22@127.0.0.1:{port}"))

    sent = gateway("send", "hook")

    assert sent.returncode == 1
    assert "refused" in sent.stderr
    assert "hunter22" not in sent.stdout + sent.stderr


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [("hok", 2, "did you mean 'hook'?"), ("lost", 1, "'NOT_SET_ANYWHERE' is not set")],
    ids=["no such channel", "no secret"],
)
def test_what_keeps_a_message_from_being_tried_is_told(gateway, declare, name, code, said) -> None:
    declare(channels("127.0.0.1:9"))

    sent = gateway("send", name)

    assert sent.returncode == code
    assert said in sent.stderr


def test_a_configuration_with_errors_sends_nothing(gateway, declare, sink) -> None:
    declare(channels(sink.address) + "colour = 1\n")

    assert gateway("send", "hook").returncode == 1
    assert sink.received == []
