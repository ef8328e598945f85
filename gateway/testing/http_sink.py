"""HttpSink: a small web server on loopback that records requests and behaves, or misbehaves, as told."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit

POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived; header names are in lower case."""

    method: str
    host: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


Behaviour = Callable[["Exchange"], None]
"""What a sink does with one request once it has been recorded."""


class Exchange(BaseHTTPRequestHandler):
    """One connection of a client; a :data:`Behaviour` answers each request through it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    received: Received

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.received = Received(
            self.command, headers.get("host", ""), unquote(urlsplit(self.path).path), headers, body
        )
        self.server.sink._next(self.received)(self)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _take  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: what arrived is in ``received``."""

    def pause(self, seconds: float) -> bool:
        """Wait; whether the sink is still open afterwards."""
        return not self.server.sink._closing.wait(seconds)


def answer(status: int = 200, body: bytes | str = b"ok", headers: Mapping[str, str] | None = None) -> Behaviour:
    """Answer at once."""
    text = body.encode() if isinstance(body, str) else body
    content = b"" if status in (204, 304) else text

    def behave(exchange: Exchange) -> None:
        exchange.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            exchange.send_header(name, value)
        exchange.end_headers()
        exchange.wfile.write(content)

    return behave


def reset(exchange: Exchange) -> None:
    """Break the connection without an answer."""
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.close_connection = True
    exchange.server.shutdown_request(exchange.request)


def hang(seconds: float = 60.0) -> Behaviour:
    """Accept the request and say nothing for so long, or until the sink closes."""

    def behave(exchange: Exchange) -> None:
        exchange.pause(seconds)
        exchange.close_connection = True

    return behave


def drip(every: float = 0.05, *, headers: bool = False) -> Behaviour:
    """Answer one byte at a time and never come to an end: in the body, or already in the headers."""
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n" + (b"X-Slow: " if headers else b"\r\n")

    def behave(exchange: Exchange) -> None:
        exchange.close_connection = True
        exchange.wfile.write(start)
        while exchange.pause(every):
            try:
                exchange.wfile.write(b"x")
            except OSError:
                return

    return behave


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    sink: HttpSink

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gives up is part of the game."""


class HttpSink:
    """A web server on a free port of 127.0.0.1, for the length of a ``with`` block.

    Args:
        behaviour: what is done with a request: :func:`answer`, :func:`reset`, :func:`hang`, :func:`drip`
            or a function of one's own.
        tls: a server-side context makes it speak HTTPS.

    Attributes:
        received: every request, in order of arrival.
        behaviour: what is done with requests that nothing special was planned for.
    """

    def __init__(self, behaviour: Behaviour | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.behaviour = behaviour or answer()
        self._planned: deque[Behaviour] = deque()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), Exchange)
        self._server.sink = self
        self._scheme = "https" if tls else "http"
        if tls:
            # Without the handshake on connect: a client that never shakes hands must not block the accept loop.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        """Host and port, for an apprise URL: ``f"json://{sink.address}/path"``."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Base URL, without a slash at the end."""
        return f"{self._scheme}://{self.address}"

    def plan(self, *behaviours: Behaviour) -> None:
        """Do these with the next requests, one each, before going back to ``behaviour``."""
        self._planned.extend(behaviours)

    def _next(self, request: Received) -> Behaviour:
        self.received.append(request)
        try:
            return self._planned.popleft()
        except IndexError:
            return self.behaviour

    def wait_for(self, count: int, timeout: float = 5.0) -> list[Received]:
        """The requests received, once there are ``count`` of them.

        Raises:
            TimeoutError: there are fewer after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while len(self.received) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.received)} of {count} requests arrived in {timeout} s")
            time.sleep(POLL_SECONDS)
        return list(self.received)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
