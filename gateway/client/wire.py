"""Wire: one connection to a gateway, kept open, and requests on it."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - now: a child that is forked while a thread imports it never can
import http.client
import os
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.client.address import Address

LONGEST_ANSWER = 4 * 1024 * 1024

HEADERS = {"Content-Type": "application/x-ndjson", "User-Agent": "gateway-client"}


_abandoned: list[http.client.HTTPConnection] = []


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gateway, or whoever stands before it, answered."""

    status: int
    retry_after: str
    body: bytes


class Wire:
    """Posts to one address. To be used by one thread at a time.

    Args:
        address: where to.
        token: asked at each request, so that a new one is used without a restart; ``""`` for none.
        tls: what is trusted, for https.
    """

    def __init__(self, address: Address, token: Callable[[], str], tls: ssl.SSLContext | None) -> None:
        self._address, self._token, self._tls = address, token, tls
        self._connection: http.client.HTTPConnection | None = None

    def post(self, body: bytes, seconds: float) -> Answer:
        """Post ``body``, waiting at most ``seconds`` for each step, and for the body of the answer as a whole.

        A connection that was kept and proves to be gone is replaced at once: servers close those that are idle.

        Raises:
            OSError, http.client.HTTPException: there is no answer.
        """
        if self._connection is not None:
            try:
                return self._post(self._connection, body, seconds)
            except (ConnectionError, http.client.HTTPException):
                self.close()
        return self._post(self._connected(seconds), body, seconds)

    def _connected(self, seconds: float) -> http.client.HTTPConnection:
        address = self._address
        if self._tls is not None:
            return http.client.HTTPSConnection(address.host, address.port, timeout=seconds, context=self._tls)
        return http.client.HTTPConnection(address.host, address.port, timeout=seconds)

    def _post(self, connection: http.client.HTTPConnection, body: bytes, seconds: float) -> Answer:
        self._connection = connection
        if connection.sock is not None:
            connection.sock.settimeout(seconds)
        try:
            token = self._token()
            headers = {**HEADERS, "Authorization": f"Bearer {token}"} if token else HEADERS
            connection.request("POST", self._address.path, body, headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers.get("Retry-After", ""), _read(response, seconds))
        except BaseException:
            self.close()
            raise
        if not response.isclosed():  # it goes on after what was read
            self.close()
        return answer

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's connection, but not of its objects.

        Whoever closes those waits for a lock that the parent's thread may have held while it read, for ever.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            _abandoned.append(connection)
            if connection.sock is not None:
                os.close(connection.sock.detach())


def _read(response: http.client.HTTPResponse, seconds: float) -> bytes:
    """The body, or as much of it as anybody wants.

    Raises:
        TimeoutError: it does not come to its end.
    """
    deadline = time.monotonic() + seconds
    parts: list[bytes] = []
    while sum(map(len, parts)) < LONGEST_ANSWER and (part := response.read1(64 * 1024)):
        parts.append(part)
        if time.monotonic() > deadline:
            raise TimeoutError
    return b"".join(parts)


def is_token(text: str) -> bool:
    """Whether ``text`` can be a bearer token: what else is a mistake, and could be told by an error of the library."""
    return re.fullmatch(r"[!-~]+", text) is not None
