"""What one client, and all of them, may cost: heads, bodies, time, connections, what is on its way."""

from __future__ import annotations

import fcntl
import json
import threading
import time
from contextlib import ExitStack, closing, suppress

import pytest

from gateway.server.limits import Limits

PATH = "/api/v1/transitions"
HEAD = b"POST /api/v1/transitions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
HASTE = Limits(head_seconds=0.5, body_seconds=0.5, unread_seconds=0.5)


def answer_of(connection) -> bytes:
    """All that comes until the other side closes the connection."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


def until_cut_off(connection, drip: bytes) -> bytes:
    """Send ``drip`` again and again, until the connection is closed."""
    began = time.monotonic()
    connection.settimeout(0.05)
    received = b""
    while time.monotonic() < began + 15:
        try:
            connection.sendall(drip)
            part = connection.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            return received
        if not part:
            return received
        received += part
    raise AssertionError("the connection was never cut off")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(10_000)) + b"\r\n",
        b"GET /livez HTTP/1.1\r\nx: " + b"y" * 500_000 + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n" + b"y" * 500_000 + b": x\r\n\r\n",
        b"GET /" + b"y" * 500_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nx: " + b"y" * 500_000,
    ],
    ids=["many headers", "a long value", "a long name", "a long path", "no end"],
)
def test_a_head_that_is_too_large_is_refused(serve, head) -> None:
    with closing(serve().connect()) as connection:
        with suppress(OSError):  # it may be refused before it has all come
            connection.sendall(head)

        assert answer_of(connection)[:12] in (b"HTTP/1.1 431", b"")


def test_a_refused_head_gets_its_answer(serve) -> None:
    with closing(serve().connect()) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(101)) + b"\r\n")

        assert answer_of(connection).startswith(b"HTTP/1.1 431 ")


def test_a_head_within_the_limits_is_not(serve) -> None:
    with closing(serve().connect()) as connection:
        headers = b"".join(b"x-%d: %s\r\n" % (n, b"y" * 600) for n in range(97))
        connection.sendall(b"GET /livez HTTP/1.1\r\nconnection: close\r\n" + headers + b"\r\n")

        assert answer_of(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "rubbish", [b"\x16\x03\x01\x02\x00\x01", b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 100]
)
def test_what_is_not_http_is_refused(serve, rubbish) -> None:
    with closing(serve().connect()) as connection:
        connection.sendall(rubbish)

        assert answer_of(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("begin", "drip"),
    [
        (b"", b"\r\n"),
        (b"GET /livez HT", b""),
        (b"GET /livez HTTP/1.1\r\n", b"x: y\r\n"),
        (b"GET /livez HTTP/1.1\r\nx: ", b"y"),
        (HEAD + b"content-length: 100000\r\n\r\n", b" "),
        (HEAD + b"content-length: 100000\r\n\r\n", b""),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"GET /livez HTTP/1.1\r\n\r\n", b"\r\n"),
        (b"GET /livez HTTP/1.1\r\n\r\n", b"G"),
        (b"POST /api/v1/reload HTTP/1.1\r\ncontent-length: 100000\r\n\r\n", b" "),
    ],
    ids=[
        "blank lines",
        "half a line",
        "headers",
        "a value",
        "a body",
        "no body",
        "chunks",
        "blank lines after",
        "a second head",
        "a body nobody reads",
    ],
)
def test_who_sends_drop_by_drop_is_cut_off(serve, begin, drip) -> None:
    serving = serve(limits=HASTE)
    with closing(serving.connect()) as connection:
        connection.sendall(begin)
        began = time.monotonic()

        until_cut_off(connection, drip)

        assert time.monotonic() - began < 10
    assert serving.client.get("/livez").status_code == 200


def test_who_does_not_read_is_cut_off(serve, event, until) -> None:
    serving = serve(limits=HASTE)
    serving.post([event(state={"message": "m" * 15_000, "type": "Success"}) for _ in range(100)])
    connections = serving.server._uvicorn.server_state.connections
    with closing(serving.connect()) as connection:
        for _ in range(400):
            try:
                connection.sendall(b"GET /api/v1/openapi.json HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
            except OSError:
                break
        until(lambda: len(connections) <= 1)

    assert serving.client.get("/livez").status_code == 200


def test_there_are_not_more_connections_than_may_be(serve, until) -> None:
    serving = serve(limits=Limits(connections=5))
    with ExitStack() as stack:
        kept = [stack.enter_context(closing(serving.connect())) for _ in range(5)]
        for connection in kept:
            connection.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")

        assert answer_of(stack.enter_context(closing(serving.connect()))).startswith(b"HTTP/1.1 503 ")

        kept[0].close()
        until(lambda: serving.client.get("/livez").status_code == 200)


def test_requests_sent_together_are_answered_in_order(serve, event) -> None:
    body = json.dumps(event(id="e-1")).encode()
    post = HEAD + b"content-length: %d\r\n\r\n" % len(body) + body
    with closing(serve().connect()) as connection:
        connection.sendall(post * 3 + b"GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n")
        received = answer_of(connection)

    assert received.count(b"HTTP/1.1 202 ") == 3
    assert received.count(b'"duplicates":1') == 2
    assert received.endswith(b'{"status":"alive"}\n')


# back-pressure


@pytest.fixture
def held(tmp_path):
    """Hold up the store, as another process on the host may: ``with held():``."""

    class Held:
        def __enter__(self) -> None:
            self.file = (tmp_path / "gateway.db.lock").open("rb+")
            fcntl.flock(self.file, fcntl.LOCK_EX)

        def __exit__(self, *_: object) -> None:
            self.file.close()

    return Held


def post_in_threads(serving, events, number):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(serving.post(events))) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads, answers


def test_more_than_may_be_on_its_way_is_refused_until_there_is_room(serve, event, held, until) -> None:
    serving = serve(limits=Limits(transitions_on_their_way=10))
    success = event(state={"type": "Success"})
    with held():
        threads, answers = post_in_threads(serving, [success] * 6, 4)
        until(lambda: len(answers) == 3)

        assert {answer.status_code for answer in answers} == {429}
        assert {answer.headers["retry-after"] for answer in answers} == {"1"}
        assert serving.client.get("/livez").status_code == 200
    for thread in threads:
        thread.join()

    assert sorted(answer.status_code for answer in answers) == [202, 429, 429, 429]
    assert serving.post([success] * 6).status_code == 202
    assert serving.gateway.store.counters()["transitions"] == 12


def test_bytes_are_counted_too(serve, event, held, until) -> None:
    serving = serve(limits=Limits(bytes_on_their_way=100_000))
    large = event(state={"type": "Success", "message": "m" * 15_000})
    with held():
        threads, answers = post_in_threads(serving, [large] * 4, 3)
        until(lambda: len(answers) == 2)
        assert {answer.status_code for answer in answers} == {429}
    for thread in threads:
        thread.join()

    assert sorted(answer.status_code for answer in answers) == [202, 429, 429]


def test_a_store_that_is_slow_is_told_and_what_was_sent_is_kept_once(serve, event, held, until) -> None:
    serving = serve(limits=Limits(commit_seconds=0.3))
    with held():
        answer = serving.post(event(id="e-1"))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "send it again" in answer.json()["detail"]

    until(lambda: serving.gateway.store.transition("e-1") is not None)
    assert serving.post(event(id="e-1")).json() == {"accepted": 0, "duplicates": 1}


def test_a_gateway_that_is_closed_is_told(serve, event) -> None:
    serving = serve()
    serving.gateway.close()

    answer = serving.post(event())

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert serving.client.get("/api/v1/ledger").status_code == 503
    assert serving.client.get("/readyz").json()["why"] == "the store is closed"
    assert serving.client.get("/livez").status_code == 200
