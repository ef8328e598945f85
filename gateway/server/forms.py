"""Forms: how requests bring events of the open standards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from starlette.requests import Request

from gateway.compile import Ruleset
from gateway.errors import PayloadError
from gateway.server.answers import RefusedError
from gateway.server.body import kind_of, media_type
from gateway.server.events import Form, Read
from gateway.sources import cloudevents, openlineage
from gateway.sources.payload import NOT_JSON, items_of, written
from gateway.sources.reading import Ignored, Misread, Reading, Reported, read_each

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
"""Content types of CloudEvents that bring their attributes in the body: one, and an array of them."""

_NO_CLOUD_EVENT = (
    f"a CloudEvent is sent as {STRUCTURED}, several as {BATCH}; or with the headers ce-specversion, ce-id, ce-source "
    "and ce-type, and its data as the body"
)
_ACCEPTED = {"accept-post": f"{STRUCTURED}, {BATCH}", "accept-encoding": "gzip"}


def lineage() -> Form:
    """Run events of OpenLineage: 201, which its reference server answers, for what was kept; 200 for the rest."""
    return Form("openlineage", _lineage_reader, taken=201, ignored=200)


def _lineage_reader(request: Request) -> Read:
    if kind_of(request) != "json":
        raise RefusedError(415, "the content type must be application/json")
    return lambda body: openlineage.read_events(body, datetime.now(UTC))


def cloudevents_over_http(ruleset: Callable[[], Ruleset]) -> Form:
    """CloudEvents in any of their three forms, as ``ruleset`` declares what they mean at the time."""
    return Form(cloudevents.SOURCE, lambda request: _cloudevents_reader(request, ruleset))


def _cloudevents_reader(request: Request, ruleset: Callable[[], Ruleset]) -> Read:
    type, is_unicode = media_type(request)
    is_enveloped = type.startswith("application/cloudevents")
    if is_enveloped and not is_unicode:
        raise RefusedError(415, "the charset must be utf-8", _ACCEPTED)
    if type == STRUCTURED:
        return _alone(lambda body: _meaning(cloudevents.read_structured(body), ruleset()))
    if type == BATCH:
        return lambda body: _batch(body, ruleset())
    if is_enveloped or not any(name.startswith(cloudevents.PREFIX) for name in request.headers):
        detail = (
            f"send {STRUCTURED}, or {BATCH}, or the attributes as headers ce-id, ce-source, ce-type, ce-specversion"
        )
        raise RefusedError(415, detail, _ACCEPTED)
    headers = [(name, value) for name, value in request.headers.items()]
    return lambda body: [_binary(headers, body, ruleset())]


def _meaning(event: cloudevents.CloudEvent, ruleset: Ruleset) -> tuple[Reported, ...] | Ignored:
    return cloudevents.read_event(event, ruleset.event_mappings, datetime.now(UTC))


def _alone(read: Callable[[bytes], tuple[Reported, ...] | Ignored]) -> Read:
    def reading(body: bytes) -> list[Reading]:
        readings = read_each([body], read)
        if isinstance(readings[0], Misread) and readings[0].complaints[0].startswith(NOT_JSON):
            raise PayloadError(readings[0].complaints)
        return readings

    return reading


def _batch(body: bytes, ruleset: Ruleset) -> list[Reading]:
    if body.lstrip(b" \t\r\n")[:1] != b"[":
        raise PayloadError([f"a batch is a JSON array of events; one alone is sent as {STRUCTURED}"])
    items = [written(item) for item in items_of(body)]
    return read_each(items, lambda item: _meaning(cloudevents.read_structured(item), ruleset))


def _binary(headers: list[tuple[str, str]], body: bytes, ruleset: Ruleset) -> Reading:
    try:
        return _meaning(cloudevents.read_binary(headers, body), ruleset)
    except PayloadError as error:
        return Misread(error.complaints, cloudevents.written_whole(headers, body))
