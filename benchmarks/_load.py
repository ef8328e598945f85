"""Load over HTTP, and a sink for what comes of it, cheap enough to be run beside what they measure.

Requests are made before anything is timed; a client only writes bytes and counts answers.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import uvloop

HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_MARK = re.compile(rb"mark-(\d+)")
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def request(port: int, path: str, body: bytes, kind: str = "application/json") -> bytes:
    """A whole POST request."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}"
    return head.encode() + HEAD_END + body


@dataclass(slots=True)
class Answers:
    """What came of a load.

    Attributes:
        waits: seconds from each request to its answer.
        sent_at: when each request was due to go, by its place in the load.
        refused: answers that were not a success, by status.
        seconds: the length of it all.
    """

    waits: list[float] = field(default_factory=list)
    sent_at: dict[int, float] = field(default_factory=dict)
    refused: dict[bytes, int] = field(default_factory=dict)
    seconds: float = 0.0


class _Messages(asyncio.Protocol, ABC):
    """Cuts what arrives into messages, by their content length."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._arrived = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        while (end := self._arrived.find(HEAD_END)) >= 0:
            length = _LENGTH.search(self._arrived, 0, end)
            whole = end + len(HEAD_END) + (int(length[1]) if length else 0)
            if len(self._arrived) < whole:
                return
            message, self._arrived = self._arrived[:whole], self._arrived[whole:]
            self.received(message)

    @abstractmethod
    def received(self, message: bytes) -> None:
        """One message is whole."""


class _Client(_Messages):
    """One connection, one request at a time."""

    def __init__(self, requests: Iterator[tuple[int, bytes]], answers: Answers, done: asyncio.Future[None]) -> None:
        super().__init__()
        self._requests, self._answers, self._done = requests, answers, done
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._next()

    def _next(self) -> None:
        for number, data in self._requests:
            self._began = self._answers.sent_at[number] = time.perf_counter()
            self.transport.write(data)
            return
        self.transport.close()

    def received(self, message: bytes) -> None:
        self._answers.waits.append(time.perf_counter() - self._began)
        count(message, self._answers)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


class _Paced(_Messages):
    """One connection that is told when to send, and takes answers in order."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self._answers = answers
        self._due: list[float] = []

    def send(self, number: int, data: bytes, due: float) -> None:
        self._due.append(due)
        self._answers.sent_at[number] = due
        self.transport.write(data)

    @property
    def is_free(self) -> bool:
        return not self._due

    def received(self, message: bytes) -> None:
        self._answers.waits.append(time.perf_counter() - self._due.pop(0))
        count(message, self._answers)


def count(message: bytes, answers: Answers) -> None:
    status = message[9:12]
    if not status.startswith(b"2"):
        answers.refused[status] = answers.refused.get(status, 0) + 1


async def closed_loop(port: int, requests: Sequence[bytes], connections: int) -> Answers:
    """All ``requests``, each connection sending its next when it has an answer."""
    loop, answers = asyncio.get_running_loop(), Answers()
    numbered = iter(enumerate(requests))
    ended = [loop.create_future() for _ in range(connections)]
    began = time.perf_counter()
    for done in ended:
        await loop.create_connection(lambda done=done: _Client(numbered, answers, done), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*ended)
    answers.seconds = time.perf_counter() - began
    return answers


async def open_loop(port: int, requests: Sequence[bytes], per_second: float, connections: int = 64) -> Answers:
    """All ``requests`` at a steady pace, whether answers come or not; waits count from when each was due."""
    loop, answers = asyncio.get_running_loop(), Answers()
    clients: list[_Paced] = []
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: _Paced(answers), "127.0.0.1", port)
        clients.append(client)
    began = time.perf_counter()
    for number, data in enumerate(requests):
        due = began + number / per_second
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        free = next((client for client in clients if client.is_free), clients[number % connections])
        free.send(number, data, due)
    while len(answers.waits) < len(requests):
        await asyncio.sleep(0.001)
    answers.seconds = time.perf_counter() - began
    for client in clients:
        client.transport.close()
    return answers


class Sink:
    """A web server that answers everything with 200, and notes when each mark (``mark-NUMBER`` in a body) arrived."""

    def __init__(self) -> None:
        self.arrived: dict[int, float] = {}
        self.requests = 0
        self.last_at = 0.0

    async def listen(self, tls: ssl.SSLContext | None = None) -> int:
        """Begin to listen on a free port of loopback, which is returned."""
        server = await asyncio.get_running_loop().create_server(lambda: _Served(self), "127.0.0.1", 0, ssl=tls)
        return int(server.sockets[0].getsockname()[1])

    async def wait_for(self, number: int, seconds: float = 60.0) -> None:
        """Wait until ``number`` requests have come."""
        deadline = time.perf_counter() + seconds
        while self.requests < number:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{self.requests} of {number} messages arrived")
            await asyncio.sleep(0.005)


class _Served(_Messages):
    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def received(self, message: bytes) -> None:
        self._sink.last_at = time.perf_counter()
        self._sink.requests += 1
        if mark := _MARK.search(message):
            self._sink.arrived.setdefault(int(mark[1]), self._sink.last_at)
        self.transport.write(_ANSWER)


run = uvloop.run
