"""Routes: which request is answered by what, and what it has to bring."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from pydantic import BaseModel

from gateway.server.answers import Answer, RefusedError, Request
from gateway.server.body import Receive
from gateway.server.models import Query

Work = Callable[[Request, Receive], Awaitable[Answer]]


Need = Literal["nothing", "token", "token or signature"]

NOTHING: Mapping[int, type[BaseModel]] = {}


@dataclass(frozen=True, slots=True)
class Route:
    """One kind of request. All but ``method``, ``path``, ``work`` and ``needs`` is there to be told of.

    Attributes:
        method: in capitals.
        path: with names in braces for what differs: ``/api/v1/deliveries/{id}``.
        work: answers it.
        needs: what the request must bring; what needs a signature is looked at where its body is read.
        name: one word or two, unlike all others.
        summary: what it is for, in a sentence.
        query: what may stand behind the question mark.
        body: what it brings; ``None`` for nothing.
        answers: what it may be answered, by status.
        content_type: of the first of the answers.
    """

    method: str
    path: str
    work: Work
    needs: Need = "token"
    name: str = ""
    summary: str = ""
    query: type[Query] = Query
    body: type[BaseModel] | None = None
    answers: Mapping[int, type[BaseModel]] = field(default_factory=lambda: NOTHING)
    content_type: str = "application/json"


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

    def find(self, request: Request) -> tuple[Route, Request]:
        """The route of a request, and the request with what stands in its path.

        Raises:
            RefusedError: 404, 405.
        """
        methods = self._fixed.get(request.path)
        if methods is None:
            methods, request = self._find(request)
        route = methods.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            allowed = ", ".join(sorted({*methods, "HEAD"} if "GET" in methods else methods))
            raise RefusedError(405, f"here only {allowed} is understood", ((b"allow", allowed.encode()),))
        return route, request

    def _find(self, request: Request) -> tuple[dict[str, Route], Request]:
        for pattern, methods in self._open.items():
            found = pattern.fullmatch(request.path)
            if found:
                decoded = {name: unquote(value) for name, value in found.groupdict().items()}
                return methods, request._replace(parameters=decoded)
        raise RefusedError(404, "there is nothing here; /api/v1/openapi.json lists what there is")


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("".join(f"(?P<{part[1:-1]}>[^/]+)" if part[:1] == "{" else part for part in _PARTS.findall(path)))


_PARTS = re.compile(r"\{\w+\}|[^{]+")
