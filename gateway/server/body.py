"""Bodies: read within their limit, unpacked within the same, and told apart by their content type."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

from gateway.config.size import Size
from gateway.server.answers import RefusedError, Request
from gateway.server.room import Room, Share
from gateway.sources.payload import BodyKind

Receive = Callable[[], Awaitable[Any]]

KINDS: dict[bytes, BodyKind] = {
    b"application/json": "json",
    b"application/x-ndjson": "lines",
    b"application/ndjson": "lines",
}
MOST_MEMBERS = 100
"""A gzip file may be several, one behind the other; each costs something, however little is in it."""

_CHARSETS = (b"utf-8", b"utf8", b"us-ascii")
_GZIP = 31


class ClientGoneError(Exception):
    """The client has closed the connection, or was cut off; nobody waits for an answer."""


def kind_of(request: Request) -> BodyKind:
    """What the body holds, by its content type.

    A type that a form or a simple request of a browser cannot have, so that no page can send it here unasked.

    Raises:
        RefusedError: 415.
    """
    kind, wrong = _kind_and_complaint(request.header(b"content-type") or b"")
    if kind is None:
        raise RefusedError(415, wrong, _ACCEPTED)
    return kind


@lru_cache(maxsize=64)
def _kind_and_complaint(content_type: bytes) -> tuple[BodyKind | None, str]:
    type, _, parameters = content_type.partition(b";")
    kind = KINDS.get(type.strip().lower())
    if kind is None:
        return None, "the content type must be application/json, or application/x-ndjson"
    for parameter in parameters.lower().split(b";"):
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"charset" and value.strip(b' "') not in _CHARSETS:
            return None, "the charset must be utf-8"
    return kind, ""


_ACCEPTED = ((b"accept-post", b"application/json, application/x-ndjson"), (b"accept-encoding", b"gzip"))


async def read(request: Request, receive: Receive, limit: Size, share: Share) -> bytes:
    """The body as it came over the wire; ``share`` has room made for it.

    Raises:
        RefusedError: 413 if it is longer than ``limit``; 429 without room.
        ClientGoneError: it does not come to its end.
    """
    message = await receive()
    if message["type"] != "http.request":
        raise ClientGoneError
    first: bytes = message["body"]
    share.take(bytes=len(first))
    if message["more_body"]:
        if int(request.header(b"content-length") or 0) > limit:
            raise _too_large(limit)
        return await _rest(first, receive, limit, share)
    if len(first) > limit:
        raise _too_large(limit)
    return first


async def _rest(first: bytes, receive: Receive, limit: Size, share: Share) -> bytes:
    parts, size, more = [first], len(first), True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGoneError
        parts.append(message["body"])
        size += len(parts[-1])
        if size > limit:
            raise _too_large(limit)
        share.take(bytes=len(parts[-1]))
        more = message["more_body"]
    return b"".join(parts)


def _too_large(limit: Size) -> RefusedError:
    return RefusedError(413, f"a body has at most {limit}, unpacked too: send less at once")


def unpack(request: Request, body: bytes, limit: Size, share: Share) -> bytes:
    """``body`` as it was before it was packed for the way.

    Raises:
        RefusedError: 413 if it is longer than ``limit``; 415 if it is packed as we do not know; 400 if it is damaged.
    """
    coding = (request.header(b"content-encoding") or b"identity").strip().lower()
    if coding == b"identity":
        return body
    if coding != b"gzip":
        raise RefusedError(415, "the content encoding must be gzip, or none", _ACCEPTED)
    unpacked = _gunzip(body, limit)
    share.take(bytes=len(unpacked))
    return unpacked


def _gunzip(packed: bytes, limit: Size) -> bytes:
    parts: list[bytes] = []
    left = limit + 1
    try:
        for _ in range(MOST_MEMBERS):
            member = zlib.decompressobj(_GZIP)
            parts.append(member.decompress(packed, left))
            left -= len(parts[-1])
            if left <= 0:
                raise _too_large(limit)
            if not member.eof:
                raise RefusedError(400, "the body is not all of a gzip file")
            packed = member.unused_data
            if not packed:
                return b"".join(parts)
    except zlib.error:
        raise RefusedError(400, "the body is not in gzip's form, as its content encoding says") from None
    raise RefusedError(400, f"the body is more than {MOST_MEMBERS} gzip files in one")


class Bodies:
    """Reads whole bodies of JSON.

    Args:
        limit: the longest, in bytes.
        room: how much may be read at once.
    """

    def __init__(self, limit: Size, room: Room) -> None:
        self._limit, self._room = limit, room

    async def json(self, request: Request, receive: Receive) -> bytes:
        """The body of ``request``, unpacked.

        Raises:
            RefusedError: it is too long, or damaged, or there is no room at present.
            ClientGoneError: it does not come to its end.
        """
        share = Share(self._room)
        try:
            return unpack(request, await read(request, receive, self._limit, share), self._limit, share)
        finally:
            share.give_back()
