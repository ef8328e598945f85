"""Forms: how requests bring events of the open standards."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request

from gateway.server.answers import RefusedError
from gateway.server.body import kind_of
from gateway.server.events import Form, Read
from gateway.sources import openlineage


def lineage() -> Form:
    """Run events of OpenLineage: 201, which its reference server answers, for what was kept; 200 for the rest."""
    return Form("openlineage", _lineage_reader, taken=201, ignored=200)


def _lineage_reader(request: Request) -> Read:
    if kind_of(request) != "json":
        raise RefusedError(415, "the content type must be application/json")
    return lambda body: openlineage.read_events(body, datetime.now(UTC))
