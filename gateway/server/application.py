"""The application: from a request to its answer. Whatever happens, an answer comes, and no traceback in it."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.server.access import Access
from gateway.server.answers import Answer, RefusedError, Request
from gateway.server.body import ClientGoneError, Receive, kind_of
from gateway.server.measures import NO_ROUTE, Measures
from gateway.server.routes import Route, Routes

log = logging.getLogger("gateway.server")

Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_BROKEN = RefusedError(500, "the gateway has made a mistake; its log has more").answer


class Application:
    """An ASGI application.

    Args:
        routes: which request is answered by what.
        access: who may ask.
        measures: counts requests.
    """

    def __init__(self, routes: Routes, access: Access, measures: Measures) -> None:
        self._routes, self._access, self._measures = routes, access, measures

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        began, answer, path = time.monotonic(), None, NO_ROUTE
        raw_path = scope["raw_path"].decode("ascii", "replace")
        request = Request(scope["method"], raw_path, scope["query_string"], scope["headers"])
        self._measures.began()
        try:
            route, request = self._routes.find(request)
            path = route.path
            answer = await self._carry_out(route, request, receive)
        except ClientGoneError:
            return
        except RefusedError as refused:
            answer = refused.answer
        except Exception:
            log.exception("a request could not be answered", extra={"method": request.method, "path": request.path})
            answer = _BROKEN
        finally:
            self._measures.ended(request, path, answer, time.monotonic() - began)
        await _send(answer, send, request.method)

    async def _carry_out(self, route: Route, request: Request, receive: Receive) -> Answer:
        if route.needs == "token":
            self._access.check(request)
            if route.method == "POST" and kind_of(request) != "json":
                raise RefusedError(415, "the content type must be application/json")
        return await route.work(request, receive)


async def _send(answer: Answer, send: Send, method: str) -> None:
    body = answer.body if answer.body.endswith(b"\n") else answer.body + b"\n"  # for those who read it on a terminal
    headers = [(b"content-type", answer.content_type), (b"content-length", b"%d" % len(body)), *answer.headers]
    if method != "POST":
        headers += _FOR_BROWSERS
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body if method != "HEAD" else b""})


_FOR_BROWSERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
"""What came with events is neither kept by anybody on the way, nor taken for a page."""
