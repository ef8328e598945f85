"""run as a service: from the first connection to the last answer."""

from __future__ import annotations

import fcntl
import json
import signal
import socket
import threading
import time
from contextlib import closing

import httpx
import pytest

from gateway.store.opening import open_reader

CONFIG = """
[server]
listen = "{listen}"
{more}
[store]
url = "sqlite:///gateway.db"
[channel.hook]
url = "json://{address}/tell"
[[handler]]
name = "failed"
state = "Failed"
to = "hook"
message = "{{{{ state.message }}}}"
"""
EVENT = {"obj": {"kind": "task", "name": "load"}, "new_state": {"type": "Failed", "message": "the table is gone"}}
PATH = "/api/v1/transitions"
LONG = 15.0


@pytest.fixture
def listen(declare, sink):
    """Declare a gateway that listens at ``listen``, any free port unless given."""

    def declared(listen: str = "127.0.0.1:0", more: str = "") -> None:
        declare(CONFIG.format(listen=listen, address=sink.address, more=more))

    return declared


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


def test_what_is_posted_is_delivered(start, listen, sink) -> None:
    listen()
    running = start()

    answer = httpx.post(running.url + PATH, json=EVENT)

    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "duplicates": 0})
    assert sink.wait_for(1, LONG)[0].json()["message"] == "the table is gone"
    assert running.end() == 0
    assert running.said.endswith("Ended. Nothing is owed.\n")


def test_who_comes_before_the_store_is_open_waits_and_is_answered(start, listen) -> None:
    port = free_port()
    listen(f"127.0.0.1:{port}")
    running = start(wait=False)
    deadline = time.monotonic() + LONG
    while True:
        try:
            answer = httpx.post(f"http://127.0.0.1:{port}{PATH}", json=EVENT, timeout=LONG)
            break
        except httpx.ConnectError:
            assert time.monotonic() < deadline, running.said

    assert answer.status_code == 202


def test_a_port_in_use_is_told_before_the_store_is_touched(start, gateway, listen, tmp_path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        listen(f"127.0.0.1:{port}")

        ended = gateway("run")

    assert ended.returncode == 1
    assert ended.stderr == (
        f"error: cannot listen on 127.0.0.1:{port}: address already in use; "
        "another [server] listen, or enabled = false, lets it start\n"
    )
    assert not (tmp_path / "gateway.db").exists()


@pytest.mark.parametrize(
    ("listen_at", "said"),
    [("no-such-host.invalid:80", "there is no such host"), ("192.0.2.1:80", "cannot assign requested address")],
)
def test_where_it_cannot_listen_is_told(gateway, listen, listen_at, said) -> None:
    listen(listen_at, 'token = "0123456789abcdef"')

    ended = gateway("run")

    assert ended.returncode == 1
    assert f"cannot listen on {listen_at}: {said}" in ended.stderr


def test_a_token_that_is_not_set_is_told_with_its_place(gateway, listen) -> None:
    listen(more='token = { env = "NOT_SET_HERE" }')

    ended = gateway("run")

    assert ended.returncode == 1
    assert "config/gateway.toml:4:9: error: server.token: the environment variable 'NOT_SET_HERE'" in ended.stderr


def test_beyond_this_machine_a_token_is_needed(gateway, listen) -> None:
    listen("0.0.0.0:0")

    ended = gateway("run")

    assert ended.returncode == 1
    assert "config/gateway.toml:3:10: error: server.listen: 0.0.0.0:0 can be reached" in ended.stderr


def test_http_can_be_left_out(start, listen) -> None:
    listen(more="enabled = false")

    running = start()

    assert "Listening" not in running.said
    assert running.end() == 0


def test_it_listens_on_ipv6_too(start, listen) -> None:
    if not socket.has_ipv6 or not _has_ipv6_loopback():
        pytest.skip("this machine has no IPv6 loopback address")
    listen("[::1]:0")

    assert httpx.get(start().url + "/readyz").status_code == 200


def _has_ipv6_loopback() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_a_request_in_progress_is_answered_before_the_end(start, listen, tmp_path) -> None:
    listen()
    running = start()
    url = running.url
    answers = []
    lock = (tmp_path / "gateway.db.lock").open("rb+")
    fcntl.flock(lock, fcntl.LOCK_EX)  # as another process on the store may
    sender = threading.Thread(
        target=lambda: answers.append(httpx.post(url + PATH, json={**EVENT, "id": "late"}, timeout=LONG))
    )
    sender.start()
    with httpx.Client() as client:
        until_in_flight(client, url, 2)

        running.process.send_signal(signal.SIGTERM)
        until_refused(url)
        lock.close()
        sender.join()

    assert [answer.status_code for answer in answers] == [202]
    assert running.process.wait(LONG) == 0
    with closing(open_reader(f"sqlite:///{tmp_path}/gateway.db")) as reader:
        assert reader.transition("late") is not None


def until_in_flight(client: httpx.Client, url: str, number: int) -> None:
    """Wait until so many requests are in progress, the one that asks included."""
    deadline = time.monotonic() + LONG
    while f"gateway_http_requests_in_flight {number}.0" not in client.get(url + "/metrics").text:
        assert time.monotonic() < deadline


def until_refused(url: str) -> None:
    """Wait until no more connections are taken."""
    deadline = time.monotonic() + LONG
    host, port = url.removeprefix("http://").split(":")
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port))).close()
        except OSError:
            return
        time.sleep(0.01)
    raise AssertionError("connections are still taken")


def test_a_client_that_never_ends_its_request_does_not_hold_up_the_end(start, listen) -> None:
    listen()
    running = start()
    host, port = running.url.removeprefix("http://").split(":")
    with closing(socket.create_connection((host, int(port)))) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n"
        connection.sendall(head.encode() + b"{")

        began = time.monotonic()
        assert running.end() == 0

    assert time.monotonic() - began < 5 + 3  # the grace time, and what an end takes


def test_a_second_signal_ends_it_at_once(start, listen) -> None:
    listen()
    running = start()
    host, port = running.url.removeprefix("http://").split(":")
    with closing(socket.create_connection((host, int(port)))) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nx: ")
        connection.sendall(
            f"y\r\n\r\nPOST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n".encode()
        )
        connection.sendall(b"content-length: 9\r\n\r\n{")

        running.process.send_signal(signal.SIGTERM)
        running.says("Ending")
        assert running.end() == -signal.SIGTERM


def test_connections_outlive_an_edit(start, listen, declare, sink) -> None:
    listen()
    running = start()
    with httpx.Client(base_url=running.url) as client:
        client.get("/livez")
        [connection] = client._transport._pool.connections  # type: ignore[attr-defined]

        declare(CONFIG.format(listen="127.0.0.1:0", address=sink.address, more="").replace("{{ state", "new: {{ state"))
        running.says("message changed")
        client.post(PATH, json=EVENT)

        assert client._transport._pool.connections == [connection]  # type: ignore[attr-defined]
    assert sink.wait_for(1, LONG)[0].json()["message"] == "new: the table is gone"


def test_what_was_taken_and_not_sent_goes_out_at_the_next_start(start, listen, sink, tmp_path) -> None:
    sink.behaviour = lambda exchange: exchange.pause(60)
    listen()
    running = start()
    httpx.post(running.url + PATH, json=[{**EVENT, "id": str(n)} for n in range(20)])
    running.process.send_signal(signal.SIGKILL)
    running.process.wait(LONG)
    received = len(sink.received)
    sink.behaviour = lambda exchange: (
        exchange.send_response(200),
        exchange.send_header("content-length", "0"),
        exchange.end_headers(),
    )

    again = start()

    sink.wait_for(received + 20, LONG)
    assert json.loads(httpx.get(again.url + "/api/v1/ledger").text)["total"]["accepted"] == 20
    assert again.end() == 0
    assert again.said.endswith("Ended. Nothing is owed.\n")
