"""Answers, and refusals: answers that say why not, in the one shape of RFC 9457."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NamedTuple

JSON, REFUSAL = b"application/json", b"application/problem+json"
Headers = tuple[tuple[bytes, bytes], ...]

PAUSE_SECONDS = 1
"""What a client that is told to come again waits."""

COME_AGAIN: Headers = ((b"retry-after", str(PAUSE_SECONDS).encode()),)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = ()


_REASONS = {
    400: "malformed",
    401: "unauthorised",
    403: "other_page",
    413: "too_large",
    415: "unsupported",
    421: "other_page",
    422: "malformed",
    429: "no_room",
}


class RefusedError(Exception):
    """A request is not carried out.

    Args:
        status: the HTTP status, 400 or above.
        detail: why, and what would be right; never a secret, nor a traceback.
        headers: what else the client must know.
        more: further fields of the answer.
        reason: one word for those who count; follows from the status unless given.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        headers: Headers = (),
        more: Mapping[str, Any] | None = None,
        reason: str = "",
    ) -> None:
        self.status, self.detail, self.headers, self.more = status, detail, headers, more or {}
        self.reason = reason or _REASONS.get(status, "other")
        super().__init__(detail)

    @property
    def answer(self) -> Answer:
        """The refusal as it is sent."""
        told = {"title": HTTPStatus(self.status).phrase, "status": self.status, "detail": self.detail, **self.more}
        return Answer(self.status, json.dumps(told).encode(), REFUSAL, self.headers)


class Request(NamedTuple):
    """A request whose head has arrived. No dataclass, because every request pays for it.

    Attributes:
        method: in capitals.
        path: as it came, without the query.
        query: as it came.
        headers: names in lower case.
        parameters: what stands in the path, decoded, where its route has a name in braces.
    """

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    parameters: Mapping[str, str] = MappingProxyType({})

    def header(self, name: bytes) -> bytes | None:
        """The value of the header ``name``, given in lower case; the first if there are several."""
        for key, value in self.headers:
            if key == name:
                return value
        return None
