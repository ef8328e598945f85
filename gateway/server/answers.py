"""Answers, and refusals: answers that say why not, in the one shape of RFC 9457."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

PAUSE_SECONDS = 1
"""What a client that is told to come again waits."""

COME_AGAIN = {"retry-after": str(PAUSE_SECONDS)}


class Answer(Response):
    """JSON, already written; with the end of a line, for those who read it on a terminal."""

    media_type = "application/json"

    def render(self, content: bytes) -> bytes:
        """The body."""
        return content + b"\n"


class Refusal(Answer):
    """JSON that says why not."""

    media_type = "application/problem+json"


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
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
        reason: str = "",
    ) -> None:
        self.status, self.detail, self.headers, self.more = status, detail, headers, more or {}
        self.reason = reason or _REASONS.get(status, "other")
        super().__init__(detail)

    @property
    def answer(self) -> Refusal:
        """The refusal as it is sent."""
        told = {"title": HTTPStatus(self.status).phrase, "status": self.status, "detail": self.detail, **self.more}
        return Refusal(json.dumps(told).encode(), self.status, self.headers)
