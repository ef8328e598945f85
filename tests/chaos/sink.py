"""The sink: a web server on loopback that takes messages, and misbehaves in a different way for each channel.

It runs in a thread of its own, remembers every request, and says of each whether it counts the message as taken
and whether the sender was told so.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Literal, Self

from chaos.audit import Arrival

Mode = Literal["ok", "error", "pause", "reset", "hang", "drip", "taken-then-reset", "refuse"]
MODES: tuple[Mode, ...] = ("ok", "error", "pause", "reset", "hang", "drip", "taken-then-reset", "refuse")

PAUSE_SECONDS = 2
"""What ``pause`` asks for with Retry-After."""

HANG_SECONDS = 8.0
"""Longer than any channel of the declaration waits."""

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_STATUS = {"error": b"500 Broken", "refuse": b"400 No"}


@dataclass(frozen=True, slots=True)
class _Request:
    channel: str
    key: str
    text: str


class Sink:
    """The web server, for the length of a ``with`` block.

    Args:
        random: which requests are spared.

    Attributes:
        spared: the share of requests that are answered well whatever the mode.
        delay: seconds that a good answer takes.
        arrivals: every request, in order.
        modes: how each channel's requests are treated; ``ok`` unless told otherwise.
    """

    def __init__(self, random: Random) -> None:
        self.arrivals: list[Arrival] = []
        self.modes: dict[str, Mode] = {}
        self.port = 0
        self.spared = 0.0
        self.delay = 0.0
        self._random = random
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sink", daemon=True)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def taken(self, channel: str | None = None) -> list[Arrival]:
        """The messages it counts as its own, of one channel or of all."""
        return [one for one in list(self.arrivals) if one.taken and channel in (None, one.channel)]

    def behave(self, mode: Mode = "ok", *channels: str) -> None:
        """Treat the requests of ``channels`` so, or of all."""
        if channels:
            self.modes.update(dict.fromkeys(channels, mode))
        else:
            self.modes = {"*": mode}

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10), "the sink did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._ending = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._ending.wait()
        server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await self._answer(await _request(reader), writer):
                pass
        self._connections.discard(task)
        writer.transport.abort()

    async def _answer(self, request: _Request, writer: asyncio.StreamWriter) -> bool:
        """Treat one request; whether the connection stays."""
        mode = self.modes.get(request.channel, self.modes.get("*", "ok"))
        if mode != "ok" and self._random.random() < self.spared:
            mode = "ok"
        at = time.monotonic()
        until = at + PAUSE_SECONDS if mode == "pause" else 0.0
        taken = mode in ("ok", "drip", "taken-then-reset")
        self.arrivals.append(Arrival(at, request.channel, request.key, request.text, mode, taken, mode == "ok", until))
        match mode:
            case "ok":
                await asyncio.sleep(self.delay)
                writer.write(_OK)
            case "error" | "refuse":
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % _STATUS[mode])
            case "pause":
                head = b"HTTP/1.1 429 Slow\r\nRetry-After: %d\r\nContent-Length: 0\r\n\r\n"
                writer.write(head % PAUSE_SECONDS)
            case "hang":
                await asyncio.sleep(HANG_SECONDS)
                return False
            case "drip":
                await _drip(writer)
                return False
            case _:
                return False
        await writer.drain()
        return True


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    until = time.monotonic() + HANG_SECONDS
    while time.monotonic() < until:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.1)


async def _request(reader: asyncio.StreamReader) -> _Request:
    head = await reader.readuntil(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return _Request(line.split(" ")[1].strip("/"), headers.get("idempotency-key", ""), json.loads(body)["message"])
