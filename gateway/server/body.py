"""Bodies: read within their limit, unpacked within the same, and told apart by their content type."""

from __future__ import annotations

import zlib
from functools import lru_cache

from starlette.requests import ClientDisconnect, Request

from gateway.config.size import Size
from gateway.server.answers import RefusedError
from gateway.server.room import Room, Share
from gateway.sources.payload import BodyKind

KINDS: dict[str, BodyKind] = {
    "application/json": "json",
    "application/x-ndjson": "lines",
    "application/ndjson": "lines",
}
MOST_MEMBERS = 100
"""A gzip file may be several, one behind the other; each costs something, however little is in it."""

_CHARSETS = ("utf-8", "utf8", "us-ascii")
_GZIP = 31


def kind_of(request: Request) -> BodyKind:
    """What the body holds, by its content type.

    A type that a form or a simple request of a browser cannot have, so that no page can send it here unasked.

    Raises:
        RefusedError: 415.
    """
    type, is_unicode = media_type(request)
    kind = KINDS.get(type)
    if kind is None:
        raise RefusedError(415, "the content type must be application/json, or application/x-ndjson", _ACCEPTED)
    if not is_unicode:
        raise RefusedError(415, "the charset must be utf-8", _ACCEPTED)
    return kind


def media_type(request: Request) -> tuple[str, bool]:
    """The content type of ``request`` without its parameters, and whether its text is in UTF-8 by them."""
    return _type_and_charset(request.headers.get("content-type", ""))


@lru_cache(maxsize=64)
def _type_and_charset(content_type: str) -> tuple[str, bool]:
    type, _, parameters = content_type.partition(";")
    pairs = (parameter.partition("=") for parameter in parameters.lower().split(";"))
    charsets = [value.strip(' "') for name, _, value in pairs if name.strip() == "charset"]
    return type.strip().lower(), all(charset in _CHARSETS for charset in charsets)


_ACCEPTED = {"accept-post": "application/json, application/x-ndjson", "accept-encoding": "gzip"}


async def read(request: Request, limit: Size, share: Share) -> bytes:
    """The body as it came over the wire; ``share`` has room made for it.

    Raises:
        RefusedError: 413 if it is longer than ``limit``; 429 without room.
        ClientDisconnect: it does not come to its end.
    """
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        parts.append(message["body"])
        size += len(parts[-1])
        more = message["more_body"]
        if size > limit or (more and int(request.headers.get("content-length", 0)) > limit):
            raise _too_large(limit)
        share.take(bytes=len(parts[-1]))
    return b"".join(parts)


def _too_large(limit: Size) -> RefusedError:
    return RefusedError(413, f"a body has at most {limit}, unpacked too: send less at once")


def unpack(request: Request, body: bytes, limit: Size, share: Share) -> bytes:
    """``body`` as it was before it was packed for the way.

    Raises:
        RefusedError: 413 if it is longer than ``limit``; 415 if it is packed as we do not know; 400 if it is damaged.
    """
    if "content-encoding" not in request.headers:
        return body
    coding = request.headers["content-encoding"].strip().lower()
    if coding == "identity":
        return body
    if coding != "gzip":
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

    async def json(self, request: Request) -> bytes:
        """The body of ``request``, unpacked.

        Raises:
            RefusedError: it is too long, or damaged, or there is no room at present.
            ClientDisconnect: it does not come to its end.
        """
        share = Share(self._room)
        try:
            return unpack(request, await read(request, self._limit, share), self._limit, share)
        finally:
            share.give_back()
