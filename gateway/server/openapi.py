"""OpenAPI 3.1: a description of the routes, made from the routes and their models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway import __version__
from gateway.server.access import Access
from gateway.server.models import Query, Refusal
from gateway.server.routes import BodyShape, Route
from gateway.sources.payload import MOST_TRANSITIONS

_REF = "#/components/schemas/{model}"
_IN_BRACES = re.compile(r"\{(\w+)\}")
_NUMBER = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}

Json = dict[str, Any]


def document(routes: Sequence[Route], access: Access) -> Json:
    """The description of ``routes`` where they are open to ``access``."""
    schemas, definitions = _schemas(routes)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas, access)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gateway",
            "version": __version__,
            "description": "Who is told of what changes in a workflow.",
        },
        "paths": paths,
        "components": {"schemas": definitions, "securitySchemes": _SECURITY},
    }


_SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "description": "[server] token"},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": "[server] signature, in the form of Standard Webhooks",
    },
}


def _secured(route: Route, access: Access) -> list[Json]:
    """What a request must bring, one of these; nothing if there is none."""
    ways = {"token": access.token, "signature": access.key if route.needs == "token or signature" else None}
    return [] if route.needs == "nothing" else [{name: []} for name, secret in ways.items() if secret is not None]


def _schemas(routes: Iterable[Route]) -> tuple[dict[Any, Json], Json]:
    """A reference to the schema of each model, and the schemas."""
    told = {model for route in routes for model in route.answers.values()} | {Refusal}
    asked = {route.body for route in routes if route.body is not None}
    models: list[tuple[Any, Any]] = [(model, "serialization") for model in _in_order(told)]
    models += [(model, "validation") for model in _in_order(asked)]
    references, whole = models_json_schema(models, ref_template=_REF)
    return {model: schema for (model, _), schema in references.items()}, whole["$defs"]


def _in_order(models: Iterable[type[BaseModel]]) -> list[type[BaseModel]]:
    return sorted(models, key=lambda model: model.__name__)


def _operation(route: Route, schemas: dict[Any, Json], access: Access) -> Json:
    operation: Json = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route.query)],
        "responses": {str(status): _answer(route, status, schemas[model]) for status, model in route.answers.items()},
        "security": _secured(route, access),
    }
    operation["responses"]["default"] = {"description": "Refused", "content": _refusal(schemas[Refusal])}
    if route.body is not None:
        operation["requestBody"] = _body(route, schemas)
    return operation


def _path_parameters(route: Route) -> Iterator[Json]:
    for name in _IN_BRACES.findall(route.path):
        schema = {"type": "string", "minLength": 1} if "transitions" in route.path else _NUMBER
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(query: type[Query]) -> Iterator[Json]:
    for name, schema in query.model_json_schema().get("properties", {}).items():
        description = schema.pop("description", "")
        schema.pop("title", None)
        options = [option for option in schema.pop("anyOf", []) if option != {"type": "null"}]
        if options:
            schema.pop("default", None)
            schema |= options[0] if len(options) == 1 else {"anyOf": options}
        yield {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _body(route: Route, schemas: dict[Any, Json]) -> Json:
    content = {type: {"schema": _shaped(schemas[route.body], shape)} for type, shape in route.body_types.items()}
    return {"required": True, "content": content}


def _shaped(one: Json, shape: BodyShape) -> Json:
    several = {"type": "array", "items": one, "maxItems": MOST_TRANSITIONS}
    match shape:
        case "one":
            return one
        case "array":
            return several
        case "lines":
            return {"type": "string", "description": "one object on each line"}
    return {"anyOf": [one, several]}


def _answer(route: Route, status: int, schema: Json) -> Json:
    phrase = HTTPStatus(status).phrase
    if status < 400:
        return {"description": phrase, "content": {route.content_type: {"schema": schema}}}
    if status == 503 and route.needs == "nothing":
        return {"description": phrase, "content": {"application/json": {"schema": schema}}}
    return {"description": phrase, "content": _refusal(schema)}


def _refusal(schema: Json) -> Json:
    return {"application/problem+json": {"schema": schema}}
