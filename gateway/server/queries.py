"""Queries: what stands behind the question mark of a request, checked against its model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar
from urllib.parse import unquote

from pydantic import ValidationError
from starlette.requests import Request

from gateway.server.answers import RefusedError
from gateway.server.models import LARGEST_NUMBER, Query
from gateway.spelling import nearest

Q = TypeVar("Q", bound=Query)

MOST_PARAMETERS = 50


def read_query(request: Request, model: type[Q]) -> Q:
    """The query of ``request`` as ``model`` has it.

    Raises:
        RefusedError: 422, with a complaint for each parameter that is wrong.
    """
    given = request.query_params
    if len(given.multi_items()) > MOST_PARAMETERS:
        raise _refused([f"more than {MOST_PARAMETERS} parameters"])
    if len(given) < len(given.multi_items()):
        raise _refused(["a parameter is given twice"])
    try:
        return model.model_validate_strings(dict(given))
    except ValidationError as error:
        raise _refused([*_complaints(error, model)]) from None


def _complaints(error: ValidationError, model: type[Query]) -> Iterator[str]:
    for found in error.errors(include_url=False, include_input=False):
        name = str(found["loc"][0])
        if found["type"] == "extra_forbidden":
            yield _unknown(name[:100], model)
        else:
            yield f"{name}: {found['msg'].removeprefix('Value error, ')}"


def _unknown(name: str, model: type[Query]) -> str:
    known = sorted(model.model_fields)
    hint = nearest(name, known)
    if hint:
        return f"{name}: there is no such parameter, did you mean {hint!r}?"
    return f"{name}: there is no such parameter; there are {', '.join(known) or 'none'}"


def _refused(complaints: list[str]) -> RefusedError:
    return RefusedError(422, "; ".join(complaints), more={"complaints": complaints})


def number(text: str) -> int:
    """The number of a delivery in a path; ``text`` as it came.

    Raises:
        RefusedError: 404, there is none of such a number.
    """
    text = unquote(text)
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= LARGEST_NUMBER:
        return int(text)
    raise RefusedError(404, f"there is no delivery {text[:20]!r}")
