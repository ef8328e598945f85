"""The protocol of one connection: uvicorn's, with the limits it lacks.

As it comes, uvicorn on httptools takes headers of any number and length, waits for ever for a head or a
body that comes drop by drop, and for a client that does not read its answer.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.server.limits import Limits

log = logging.getLogger("gateway.server")

_HEAD_TOO_LARGE = b"431 Request Header Fields Too Large"


class _Quietly(logging.LoggerAdapter[logging.Logger]):
    """What uvicorn says of a single connection is for those who look for it: anybody can cause it, at any rate."""

    level = logging.DEBUG

    def log(self, level: int, msg: object, *args: object, **named: Any) -> None:
        """Log for debugging, whatever the level."""
        super().log(min(level, logging.DEBUG), msg, *args, **named)


class LimitedProtocol(HttpToolsProtocol):
    """One connection. :meth:`cut_off_if_late` is to be called every second or so.

    Args:
        limits: what it may cost.
        named: what uvicorn gives each protocol.
    """

    def __init__(self, *, limits: Limits, **named: Any) -> None:
        super().__init__(**named)
        self._limits = limits
        self.logger = _Quietly(log, {})  # type: ignore[assignment] # it is used as one
        self.access_log = False
        self._is_in_head = self._has_just_begun = True
        self._head_bytes = self._fragment_bytes = self._header_count = 0
        self._late_at: float | None = None
        self._unread_at: float | None = None

    # what arrives

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, or turn it away if there are too many."""
        super().connection_made(transport)
        self._late_at = self.loop.time() + self._limits.head_seconds
        if len(self.connections) > self._limits.connections:
            self._refuse(b"503 Service Unavailable\r\nretry-after: 1")

    def data_received(self, data: bytes) -> None:
        """Pass on what arrived, within the limits of a head."""
        super().data_received(data)
        if not self._is_in_head or self.transport.is_closing():
            return
        if self._late_at is None:  # bytes between two requests
            self._late_at = self.loop.time() + self._limits.head_seconds
        if self._has_just_begun:  # some of the data may belong to the request before
            self._has_just_begun = False
            return
        self._fragment_bytes += len(data)
        if self._fragment_bytes > self._limits.head_bytes:
            self._refuse(_HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._is_in_head = self._has_just_begun = True
        self._head_bytes = self._fragment_bytes = self._header_count = 0
        self._late_at = self.loop.time() + self._limits.head_seconds

    def on_url(self, url: bytes) -> None:
        """A part of the request line is there."""
        self._head_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header is whole."""
        self._header_count += 1
        self._head_bytes += len(name) + len(value)
        if self._header_count <= self._limits.headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: carry the request out, if it is not too large."""
        self._is_in_head = False
        self._late_at = self.loop.time() + self._limits.body_seconds
        if self._header_count > self._limits.headers or self._head_bytes > self._limits.head_bytes:
            self._refuse(_HEAD_TOO_LARGE)
        if not self.transport.is_closing():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body is there."""
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._late_at = None
        self._is_in_head = self._has_just_begun = True
        if not self.transport.is_closing():
            super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Answer as if nothing else had been asked for."""

    # what leaves

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._unread_at = self.loop.time() + self._limits.unread_seconds

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self._unread_at = None

    def on_response_complete(self) -> None:
        """An answer has left; the body it did not wait for may still be coming."""
        if self._late_at is not None and not self._is_in_head:
            self._late_at = min(self._late_at, self.loop.time() + self._limits.linger_seconds)
        super().on_response_complete()

    # limits

    def cut_off_if_late(self, now: float) -> None:
        """End the connection if its client is too slow."""
        if self._unread_at is not None and now > self._unread_at:
            self.transport.abort()
        elif self._late_at is not None and now > self._late_at:
            self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        """Answer with ``status`` if nothing was answered yet, and end the connection."""
        if self.transport.is_closing():
            return
        if self.cycle is None or not self.cycle.response_started or (self.cycle.response_complete and self._is_in_head):
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()
