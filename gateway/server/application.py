"""The application: from a request to its answer. Whatever happens, an answer comes, and no traceback in it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Router
from starlette.types import Message, Receive, Scope, Send

from gateway.server.access import Access
from gateway.server.answers import Refusal, RefusedError
from gateway.server.measures import NO_ROUTE, Measures
from gateway.server.routes import Route, guarded

log = logging.getLogger("gateway.server")


class Application:
    """An ASGI application.

    Args:
        routes: which request is answered by what.
        access: who may ask.
        measures: counts requests.
    """

    def __init__(self, routes: Iterable[Route], access: Access, measures: Measures) -> None:
        self._routes = [guarded(route, access) for route in routes]
        self._router = Router(self._routes, redirect_slashes=False)
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and count it."""
        began, status = time.monotonic(), 0

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if scope["method"] != "POST":
                    message["headers"] = [*message["headers"], *_FOR_BROWSERS]
            await send(message)

        self._measures.began()
        try:
            await self._answer(scope, receive, note)
        finally:
            route = scope["route"].path if "route" in scope else NO_ROUTE
            self._measures.ended(scope["method"], route, status, time.monotonic() - began)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self  # has the router raise what it would answer in its own words
        scope["path"] = scope["raw_path"].decode("ascii", "replace")  # a slash in an id does not end it
        try:
            await self._router(scope, receive, send)
        except ClientDisconnect:
            return
        except RefusedError as refused:
            await refused.answer(scope, receive, send)
        except HTTPException:
            await self._way_out(scope)(scope, receive, send)
        except Exception:
            log.exception("a request could not be answered", extra={"method": scope["method"], "path": scope["path"]})
            await _BROKEN(scope, receive, send)

    def _way_out(self, scope: Scope) -> Refusal:
        """The answer to what has no route, or none of its method."""
        scope.pop("route", None)
        here = [route for route in self._routes if route.matches(scope)[0] is not Match.NONE]
        if not here:
            return RefusedError(404, "there is nothing here; /api/v1/openapi.json lists what there is").answer
        allowed = ", ".join(sorted({method for route in here for method in route.methods or ()}))
        return RefusedError(405, f"here only {allowed} is understood", {"allow": allowed}).answer


_BROKEN = RefusedError(500, "the gateway has made a mistake; its log has more").answer

_FOR_BROWSERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
"""What came with events is neither kept by anybody on the way, nor taken for a page."""
