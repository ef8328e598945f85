"""Services of the cloud through their real plugins, their hosts routed to a server of ours."""

from __future__ import annotations

import json

import pytest

from gateway.channels import DELIVERED, Message, build
from gateway.channels.transport import Transport
from gateway.testing import HttpSink, answer

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
SLACK_BOT = "slack://xoxb-1234-1234-abc124/%23ops"
DISCORD = "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"
TELEGRAM = "tgram://123456789:AAE_secretSecretSecretSecretSecretSe/12315544"
HELLO = Message("hello <!channel> & @everyone", "greeting", severity="warning")


@pytest.fixture
def routed(sink: HttpSink) -> Transport:
    hosts = ("hooks.slack.com", "slack.com", "discord.com", "api.telegram.org")
    return Transport(routes=dict.fromkeys(hosts, sink.url))


def test_slack_gets_a_webhook_request_at_its_own_address(sink: HttpSink, routed: Transport) -> None:
    assert build("oncall", SLACK, transport=routed).send(HELLO, 5) == DELIVERED

    [request] = sink.received
    assert (request.host, request.path) == ("hooks.slack.com", "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ")
    assert "idempotency-key" not in request.headers
    text = json.dumps(request.json())
    assert "greeting" in text and "github" not in text


def test_plain_text_cannot_call_everybody_on_slack(sink: HttpSink, routed: Transport) -> None:
    build("oncall", SLACK, transport=routed).send(HELLO, 5)

    assert b"<!channel>" not in sink.received[0].body


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (403, "invalid_token", ("channel", "http_403")),
        (404, "no_service", ("channel", "http_404")),
        (400, "invalid_payload", ("permanent", "http_400")),
        (500, "rollup_error", ("temporary", "http_500")),
        (429, "", ("temporary", "http_429")),
    ],
)
def test_what_slack_s_webhooks_answer(
    sink: HttpSink, routed: Transport, status: int, body: str, expected: tuple[str, str]
) -> None:
    sink.behaviour = answer(status, body, {"Retry-After": "30"})

    outcome = build("oncall", SLACK, transport=routed).send(HELLO, 5)

    assert (outcome.kind, outcome.reason) == expected
    assert outcome.retry_after == (30 if outcome.kind == "temporary" else None)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"ok": True, "channel": "C1", "message": {}}, ("delivered", "ok")),
        ({"ok": False, "error": "channel_not_found"}, ("channel", "no_such_target")),
        ({"ok": False, "error": "invalid_auth"}, ("channel", "unauthorized")),
        ({"ok": False, "error": "ratelimited"}, ("temporary", "rate_limited")),
        ({"ok": False, "error": "msg_too_long"}, ("permanent", "bad_message")),
    ],
    ids=lambda value: value.get("error", "ok") if isinstance(value, dict) else "",
)
def test_a_no_of_slack_s_bots_comes_with_status_200(
    sink: HttpSink, routed: Transport, reply: dict[str, object], expected: tuple[str, str]
) -> None:
    sink.behaviour = answer(200, json.dumps(reply), {"Content-Type": "application/json"})

    outcome = build("oncall", SLACK_BOT, transport=routed).send(HELLO, 5)

    assert (outcome.kind, outcome.reason) == expected
    assert "xoxb" not in outcome.detail


def test_discord_gets_its_message_and_long_ones_in_pieces(sink: HttpSink, routed: Transport) -> None:
    sink.behaviour = answer(204)
    discord = build("team", DISCORD, transport=routed)

    assert discord.send(HELLO, 5) == DELIVERED
    assert discord.send(Message("word " * 900), 5) == DELIVERED

    assert all(request.host == "discord.com" for request in sink.received)
    assert len(sink.received) == 4
    assert discord.width == 1


def test_discord_s_rate_limit_is_not_slept_through_but_reported(sink: HttpSink, routed: Transport) -> None:
    limits = {"X-RateLimit-Reset": "99999999999", "X-RateLimit-Remaining": "0", "Retry-After": "2.5"}
    sink.behaviour = answer(429, json.dumps({"retry_after": 2.5}), limits)

    outcome = build("team", DISCORD, transport=routed).send(HELLO, 5)

    assert (outcome.kind, outcome.reason, outcome.retry_after) == ("temporary", "http_429", 2.5)


def test_telegram_says_in_its_body_how_long_to_wait(sink: HttpSink, routed: Transport) -> None:
    telegram = build("phone", TELEGRAM, transport=routed)
    sink.plan(
        answer(200, json.dumps({"ok": True, "result": {"message_id": 1}})),
        answer(429, json.dumps({"ok": False, "error_code": 429, "parameters": {"retry_after": 4}})),
    )

    assert telegram.send(HELLO, 5) == DELIVERED
    outcome = telegram.send(HELLO, 5)

    assert (outcome.reason, outcome.retry_after) == ("http_429", 4)
    assert "secretSecret" not in outcome.detail


def test_an_address_copied_from_slack_is_a_channel(sink: HttpSink, routed: Transport) -> None:
    address = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"

    assert build("oncall", address, transport=routed).send(HELLO, 5) == DELIVERED
