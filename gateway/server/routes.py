"""Routes: which request is answered by what."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from gateway.server.answers import Answer, RefusedError, Request
from gateway.server.body import Receive

Work = Callable[[Request, Receive], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """One kind of request.

    Attributes:
        method: in capitals.
        path: with names in braces for what differs: ``/api/v1/deliveries/{id}``.
        work: answers it.
    """

    method: str
    path: str
    work: Work


class Routes:
    """All routes, found by method and path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[str, dict[str, Route]] = {}
        self._open: dict[re.Pattern[str], dict[str, Route]] = {}
        for route in routes:
            if "{" in route.path:
                self._open.setdefault(_pattern(route.path), {})[route.method] = route
            else:
                self._fixed.setdefault(route.path, {})[route.method] = route

    async def answer(self, request: Request, receive: Receive) -> Answer:
        """Have the request answered.

        Raises:
            RefusedError: 404, 405, or whatever its route refuses it for.
        """
        methods = self._fixed.get(request.path)
        if methods is None:
            methods, request = self._find(request)
        route = methods.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            allowed = ", ".join(sorted(methods))
            raise RefusedError(405, f"here only {allowed} is understood", ((b"allow", allowed.encode()),))
        return await route.work(request, receive)

    def _find(self, request: Request) -> tuple[dict[str, Route], Request]:
        for pattern, methods in self._open.items():
            found = pattern.fullmatch(request.path)
            if found:
                return methods, replace(request, parameters=found.groupdict())
        raise RefusedError(404, "there is nothing here; /api/v1/openapi.json lists what there is")


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("".join(f"(?P<{part[1:-1]}>[^/]+)" if part[:1] == "{" else part for part in _PARTS.findall(path)))


_PARTS = re.compile(r"\{\w+\}|[^{]+")
