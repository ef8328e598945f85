"""Webhooks over real sockets: what arrives, and what is made of every kind of misbehaviour."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.channels import DELIVERED, Channel, Message, Outcome, build
from gateway.channels.transport import CONNECTIONS_PER_HOST, MAX_BODY, Transport
from gateway.testing import Behaviour, Exchange, HttpSink, answer, drip, hang, reset

HELLO = Message("hello", "greeting")


@pytest.fixture
def hook(sink: HttpSink) -> Iterator[Channel]:
    channel = build("hook", f"json://{sink.address}/t0ken/path")
    yield channel
    channel.close()


def verdict(outcome: Outcome) -> tuple[str, str]:
    return outcome.kind, outcome.reason


def test_a_message_arrives_with_its_severity_and_its_key(sink: HttpSink, hook: Channel) -> None:
    outcome = hook.send(Message("it broke", "load", severity="failure", idempotency_key="d-1"), 5)

    [request] = sink.wait_for(1)
    assert outcome == DELIVERED
    assert (request.method, request.path) == ("POST", "/t0ken/path")
    assert request.headers["idempotency-key"] == "d-1"
    content = request.json()
    assert (content["title"], content["message"], content["type"]) == ("load", "it broke", "failure")


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (answer(204), ("delivered", "ok")),
        (answer(429, headers={"Retry-After": "7"}), ("temporary", "http_429")),
        (answer(503), ("temporary", "http_503")),
        (answer(401), ("channel", "http_401")),
        (answer(404), ("channel", "http_404")),
        (answer(400), ("permanent", "http_400")),
        (answer(413), ("permanent", "http_413")),
        (reset, ("unknown", "reset")),
        (hang(), ("unknown", "read_timeout")),
        (drip(), ("unknown", "read_timeout")),
        (drip(headers=True), ("unknown", "read_timeout")),
    ],
    ids=["204", "429", "503", "401", "404", "400", "413", "reset", "hang", "drip", "drip headers"],
)
def test_each_behaviour_has_its_outcome_in_time(
    sink: HttpSink, hook: Channel, behaviour: Behaviour, expected: tuple[str, str]
) -> None:
    sink.plan(behaviour)

    started = time.monotonic()
    outcome = hook.send(HELLO, 0.5)

    assert verdict(outcome) == expected
    assert time.monotonic() - started < 2
    assert "t0ken" not in outcome.detail


def test_after_every_misbehaviour_the_next_message_goes_through(sink: HttpSink, hook: Channel) -> None:
    for behaviour in (reset, hang(), drip(), answer(500), answer(200, b"x" * (2 * MAX_BODY))):
        sink.plan(behaviour)
        hook.send(HELLO, 0.3)

        assert hook.send(HELLO, 5) == DELIVERED


def test_the_service_says_how_long_to_wait(sink: HttpSink, hook: Channel) -> None:
    sink.plan(answer(429, headers={"Retry-After": "7"}))

    assert hook.send(HELLO, 5).retry_after == 7


def test_a_redirect_is_not_followed(sink: HttpSink, hook: Channel) -> None:
    with HttpSink() as elsewhere:
        sink.plan(answer(307, headers={"Location": f"{elsewhere.url}/t0ken"}))

        assert verdict(hook.send(HELLO, 5)) == ("channel", "http_307")
        assert elsewhere.received == []


def test_a_redirect_is_followed_where_the_url_says_so(sink: HttpSink) -> None:
    with HttpSink() as elsewhere:
        sink.plan(answer(307, headers={"Location": f"{elsewhere.url}/moved"}))

        assert build("hook", f"json://{sink.address}/?redirect=yes").send(HELLO, 5) == DELIVERED
        assert elsewhere.received[0].path == "/moved"


def test_a_closed_port_is_refused_and_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    assert verdict(build("hook", f"json://127.0.0.1:{port}").send(HELLO, 5)) == ("temporary", "refused")


def test_a_host_that_does_not_resolve_is_a_matter_of_names() -> None:
    assert verdict(build("hook", "json://no-such-host.invalid").send(HELLO, 5)) == ("temporary", "dns")


def test_a_server_that_never_accepts_runs_into_the_connect_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.create_connection(address)]
        for _ in range(2):
            extra = socket.socket()
            extra.setblocking(False)
            extra.connect_ex(address)
            waiting.append(extra)

        outcome = build("hook", f"json://127.0.0.1:{address[1]}").send(HELLO, 0.3)

        assert verdict(outcome) == ("temporary", "connect_timeout")
        for connection in waiting:
            connection.close()


def test_silence_after_a_slow_start_does_not_begin_a_new_wait(sink: HttpSink, hook: Channel) -> None:
    def half_an_answer(exchange: Exchange) -> None:
        exchange.close_connection = True
        exchange.pause(0.35)
        exchange.wfile.write(b"HTTP/1.1 200")
        exchange.pause(30)

    sink.plan(half_an_answer)

    started = time.monotonic()
    assert verdict(hook.send(HELLO, 0.5)) == ("unknown", "read_timeout")
    assert time.monotonic() - started < 0.75


def test_no_time_left_means_nothing_is_sent(sink: HttpSink, hook: Channel) -> None:
    assert verdict(hook.send(HELLO, 0)) == ("temporary", "connect_timeout")
    assert sink.received == []


def test_a_message_without_any_text_is_never_sent(sink: HttpSink, hook: Channel) -> None:
    assert verdict(hook.send(Message(" \n"), 5)) == ("permanent", "empty")
    assert hook.send(Message("", "only a title"), 5) == DELIVERED
    assert [request.json()["message"] for request in sink.received] == ["only a title"]


def test_connections_are_kept_and_shared_by_channels(sink: HttpSink) -> None:
    ports: list[int] = []

    def note_port(exchange: Exchange) -> None:
        ports.append(exchange.client_address[1])
        answer()(exchange)

    sink.behaviour = note_port
    for number in range(6):
        assert build(f"hook-{number % 2}", f"json://{sink.address}/{number % 2}").send(HELLO, 5) == DELIVERED

    assert len(ports) == 6 and len(set(ports)) == 1


def test_a_connection_that_the_server_closed_meanwhile_is_replaced(sink: HttpSink, hook: Channel) -> None:
    def answer_and_close(exchange: Exchange) -> None:
        answer()(exchange)
        exchange.close_connection = True

    sink.behaviour = answer_and_close
    for _ in range(5):
        assert hook.send(HELLO, 5) == DELIVERED
        time.sleep(0.02)


def test_one_channel_sends_from_many_threads_at_once(sink: HttpSink, hook: Channel) -> None:
    bodies = [f"body {number}" for number in range(5 * CONNECTIONS_PER_HOST)]
    outcomes: list[Outcome] = []
    threads = [threading.Thread(target=lambda b=b: outcomes.append(hook.send(Message(b), 10))) for b in bodies]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == [DELIVERED] * len(bodies)
    assert sorted(request.json()["message"] for request in sink.received) == sorted(bodies)


def test_a_compressed_answer_is_understood_and_a_bomb_is_cut(sink: HttpSink, hook: Channel) -> None:
    sink.plan(
        answer(400, gzip.compress(b"no such list"), {"Content-Encoding": "gzip"}),
        answer(400, gzip.compress(b"0" * (50 * MAX_BODY)), {"Content-Encoding": "gzip"}),
    )

    assert hook.send(HELLO, 5).detail == "HTTP 400 no such list"
    assert hook.send(HELLO, 5).detail.startswith("HTTP 400 000")


def test_cookies_and_netrc_are_ignored(sink: HttpSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    channel = build("hook", f"json://{sink.address}", transport=Transport())
    sink.behaviour = answer(200, headers={"Set-Cookie": "session=1; Path=/"})

    channel.send(HELLO, 5)
    channel.send(HELLO, 5)
    following = build("hook", f"json://{sink.address}?redirect=yes", transport=Transport())
    following.send(HELLO, 5)
    following.send(HELLO, 5)

    assert not any({"authorization", "cookie"} & request.headers.keys() for request in sink.received)


def test_a_proxy_of_the_environment_is_used_and_no_proxy_honoured(
    sink: HttpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpSink() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        transport = Transport()

        assert build("far", "json://service.invalid/hook", transport=transport).send(HELLO, 5) == DELIVERED
        assert build("near", f"json://{sink.address}/hook", transport=transport).send(HELLO, 5) == DELIVERED

        assert [request.host for request in proxy.received] == ["service.invalid"]
        assert [request.host for request in sink.received] == [sink.address]


def test_long_messages_are_split_each_piece_with_a_key_of_its_own(sink: HttpSink) -> None:
    hook = build("hook", f"json://{sink.address}")

    assert hook.send(Message("word " * 8000, idempotency_key="d-1"), 5) == DELIVERED

    assert [request.headers["idempotency-key"] for request in sink.received] == ["d-1", "d-1-1"]


def test_long_messages_are_cut_where_the_channel_says_so(sink: HttpSink) -> None:
    hook = build("hook", f"json://{sink.address}", overflow="truncate")

    assert hook.send(Message("word " * 8000), 5) == DELIVERED

    assert len(sink.received) == 1


def test_a_retry_sends_only_the_pieces_that_did_not_arrive(sink: HttpSink) -> None:
    hook = build("hook", f"json://{sink.address}")
    message = Message("a" * 40_000 + " " + "b" * 30_000, idempotency_key="d-1")
    sink.plan(answer(), answer(503), answer())

    assert verdict(hook.send(message, 5)) == ("temporary", "http_503")
    assert hook.send(message, 5) == DELIVERED

    keys = [request.headers["idempotency-key"] for request in sink.received]
    assert keys == ["d-1", "d-1-1", "d-1-2", "d-1-1"]


def test_a_message_that_arrived_is_sent_whole_if_it_is_sent_again(sink: HttpSink, hook: Channel) -> None:
    for _ in range(2):
        assert hook.send(Message("hello", idempotency_key="d-1"), 5) == DELIVERED

    assert len(sink.received) == 2


@pytest.mark.parametrize(
    ("scheme", "type_"), [("xml", "application/xml"), ("form", "application/x-www-form-urlencoded")]
)
def test_the_other_webhooks_get_the_key_too(sink: HttpSink, scheme: str, type_: str) -> None:
    assert build("hook", f"{scheme}://{sink.address}").send(Message("hi", idempotency_key="d-1"), 5) == DELIVERED

    [request] = sink.received
    assert request.headers["idempotency-key"] == "d-1"
    assert request.headers["content-type"].startswith(type_)


def test_a_channel_in_one_format_converts_for_a_service_in_another(sink: HttpSink) -> None:
    ntfy = build("push", f"ntfy://{sink.address}/topic", format="markdown")

    assert ntfy.format == "markdown"
    assert ntfy.default_rate == 5.5
    assert ntfy.send(Message("**bold** move", format="markdown"), 5) == DELIVERED


def test_the_pace_of_the_service_is_reported_not_slept(sink: HttpSink) -> None:
    ntfy = build("push", f"ntfy://{sink.address}/topic")

    started = time.monotonic()
    for _ in range(3):
        assert ntfy.send(HELLO, 5) == DELIVERED

    assert time.monotonic() - started < 3
    assert "idempotency-key" not in sink.received[0].headers


def test_neither_repr_nor_detail_shows_the_url(sink: HttpSink) -> None:
    hook = build("hook", f"json://user:p4ssword@{sink.address}/t0ken")
    sink.plan(answer(400, "user p4ssword at /t0ken is wrong"))

    outcome = hook.send(HELLO, 5)

    assert "p4ssword" not in repr(hook) + outcome.detail
    assert "t0ken" not in repr(hook) + outcome.detail
