"""Stream: events as they happen, over a websocket. Fast, and lossy: whoever listens needs the sweep as well."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from gateway.compile import PrefectServer
from gateway.errors import SourceError
from gateway.sources.prefect.api import Api, credentials
from gateway.sources.prefect.filters import RUNS, occurred

SUBPROTOCOL = Subprotocol("prefect")
LARGEST_MESSAGE = 8 * 1024 * 1024
"""Bytes. An event has 1.5 MB at most, unless a server was told otherwise. A larger one breaks the connection, which
is made anew; the sweep reads what was in it."""

MOST_QUEUED = 64
"""Messages that are read ahead; when there are more, the server is left to wait."""

HANDSHAKE_SECONDS = 10.0
ALIVE_SECONDS = 20.0
"""A ping goes out so often, and is answered within that time."""

LATEST = timedelta(minutes=15)
"""An event may come so late on the stream, and no later: the server limits it."""


class Stream:
    """An open stream of events.

    Args:
        api: whose; its clock is asked.
    """

    def __init__(self, api: Api) -> None:
        self._api, self._server = api, api.server

    async def messages(self) -> AsyncIterator[str | bytes]:
        """The texts of events, until the connection ends. The first item is empty: it says that the stream is open.

        Raises:
            SourceError: it could not be opened, or broke.
        """
        try:
            async with _Connect(
                _address(self._server),
                subprotocols=[SUBPROTOCOL],
                additional_headers=credentials(self._server),
                max_size=LARGEST_MESSAGE,
                max_queue=MOST_QUEUED,
                open_timeout=HANDSHAKE_SECONDS,
                ping_interval=ALIVE_SECONDS,
                ping_timeout=ALIVE_SECONDS,
                close_timeout=1.0,
            ) as connection:
                await self._begin(connection)
                yield ""
                async for message in connection:
                    yield message
        except (OSError, WebSocketException, ValueError) as error:
            raise SourceError(_trouble(error, self._server)) from None

    async def _begin(self, connection: ClientConnection) -> None:
        token = self._server.auth or self._server.key or None
        await connection.send(json.dumps({"type": "auth", "token": token}))
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            answer = json.loads(await connection.recv())
        if answer.get("type") != "auth_success":
            raise ValueError("not let in")
        since = self._api.now() - LATEST
        filter = {"event": {"prefix": [*RUNS]}, "occurred": occurred(since)}
        await connection.send(json.dumps({"type": "filter", "backfill": False, "filter": filter}))


class _Connect(connect):
    """Follows no redirect: what it carries is for the server alone that was declared."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """The error itself, never another address."""
        return exc


def event_of(message: str | bytes) -> Any:
    """The event in a message of the server.

    Raises:
        ValueError: it is none.
    """
    read = json.loads(message)
    if not isinstance(read, dict) or "event" not in read:
        raise ValueError("a message without an event")
    return read["event"]


def _address(server: PrefectServer) -> str:
    parts = urlsplit(server.api)
    scheme = "wss" if parts.scheme.lower() == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, parts.path + "/events/out", "", ""))


def _trouble(error: Exception, server: PrefectServer) -> str:
    """What happened, in words, without what an error's text may show of an address."""
    match error:
        case ConnectionClosed(rcvd=closed) if closed is not None and closed.code == 1008:
            return f"{server.shown} refuses the stream of events: see 'auth' or 'key' in [source.prefect]"
        case ConnectionClosed(sent=closed) if closed is not None and closed.code == 1009:
            return "an event is too large for the stream; it is read from the history"
        case ConnectionClosed():
            return f"the stream of events from {server.shown} ended"
        case InvalidStatus(response=response):
            return f"{server.shown} gives no stream of events (it answers {response.status_code})"
        case InvalidHandshake():
            return f"{server.shown} gives no stream of events ({type(error).__name__})"
        case TimeoutError():
            return f"{server.shown} does not answer a request for the stream of events"
        case OSError():
            return f"no connection to {server.shown} ({error.strerror or type(error).__name__})"
    return f"{server.shown} gives no stream of events that can be understood"
