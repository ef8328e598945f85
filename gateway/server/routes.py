"""Routes: which request is answered by what, and what it has to bring."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel
from starlette import routing
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from gateway.server.access import Access
from gateway.server.answers import RefusedError
from gateway.server.body import kind_of
from gateway.server.models import Query

Work = Callable[[Request], Awaitable[Response]]

Need = Literal["nothing", "token", "token or signature"]

BodyShape = Literal["one", "one or array", "array", "lines"]

JSON: Mapping[str, BodyShape] = {"application/json": "one"}
JSON_OR_ARRAY: Mapping[str, BodyShape] = {"application/json": "one or array"}
JSON_OR_LINES: Mapping[str, BodyShape] = {"application/json": "one or array", "application/x-ndjson": "lines"}

NOTHING: Mapping[int, type[BaseModel]] = {}


@dataclass(frozen=True, slots=True)
class Route:
    """One kind of request. All but ``method``, ``path``, ``work`` and ``needs`` is there to be told of.

    Attributes:
        method: in capitals.
        path: with names in braces for what differs: ``/api/v1/deliveries/{id}``.
        work: answers it; as ASGI has it where every microsecond counts.
        needs: what the request must bring; what needs a signature is looked at where its body is read.
        name: one word or two, unlike all others.
        summary: what it is for, in a sentence.
        query: what may stand behind the question mark.
        body: what it brings; ``None`` for nothing.
        body_types: the content types that the body may have, and how often it has the model then.
        answers: what it may be answered, by status.
        content_type: of the first of the answers.
    """

    method: str
    path: str
    work: Work | ASGIApp
    needs: Need = "token"
    name: str = ""
    summary: str = ""
    query: type[Query] = Query
    body: type[BaseModel] | None = None
    answers: Mapping[int, type[BaseModel]] = field(default_factory=lambda: NOTHING)
    content_type: str = "application/json"
    body_types: Mapping[str, BodyShape] = field(default_factory=lambda: JSON)


def guarded(route: Route, access: Access) -> routing.Route:
    """``route`` as starlette has it, closed to who may not ask."""
    work: Any = route.work

    async def checked(request: Request) -> Response:
        access.check(request)
        if route.method == "POST" and kind_of(request) != "json":
            raise RefusedError(415, "the content type must be application/json")
        response: Response = await work(request)
        return response

    return routing.Route(route.path, checked if route.needs == "token" else work, methods=[route.method])
