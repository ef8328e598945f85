"""The application: from a request to its answer. Whatever happens, an answer comes, and no traceback in it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.server.answers import Answer, RefusedError, Request
from gateway.server.body import ClientGoneError, Receive
from gateway.server.routes import Routes

log = logging.getLogger("gateway.server")

Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_BROKEN = RefusedError(500, "the gateway has made a mistake; its log has more").answer


class Application:
    """An ASGI application that answers by ``routes``."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["raw_path"].decode("ascii", "replace")
        request = Request(scope["method"], path, scope["query_string"], scope["headers"])
        try:
            answer = await self._answer(request, receive)
        except ClientGoneError:
            return
        length = str(len(answer.body)).encode()
        headers = [(b"content-type", answer.content_type), (b"content-length", length), *answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else answer.body})

    async def _answer(self, request: Request, receive: Receive) -> Answer:
        try:
            return await self._routes.answer(request, receive)
        except RefusedError as refused:
            return refused.answer
        except ClientGoneError:
            raise
        except Exception:
            log.exception("a request could not be answered", extra={"method": request.method, "path": request.path})
            return _BROKEN
