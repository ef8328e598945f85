"""Whatever a route does, an answer comes, in one shape; unless nobody waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway.server.access import Access
from gateway.server.answers import Answer
from gateway.server.application import Application
from gateway.server.measures import Measures
from gateway.server.routes import Route


def sent_by(error: Exception | None, measures: Measures) -> list[dict[str, Any]]:
    """What is sent when the only route raises ``error``, or else answers."""

    async def work(request: Request) -> Response:
        if error is not None:
            raise error
        return Answer(b"{}")

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        scope = {"type": "http", "method": "GET", "raw_path": b"/x", "query_string": b"", "headers": []}
        application = Application([Route("GET", "/x", work, "nothing")], Access(), measures)
        await application(scope, None, send)  # type: ignore[arg-type] # nothing is read

    asyncio.run(ask())
    return sent


def answered(measures: Measures) -> list[tuple[str, ...]]:
    [family] = [one for one in measures.collect() if one.name == "gateway_http_requests"]
    return [(one.labels["route"], one.labels["status"]) for one in family.samples]


def test_an_answer_is_sent_and_counted() -> None:
    measures = Measures()

    start, body = sent_by(None, measures)

    assert (start["status"], body["body"]) == (200, b"{}\n")
    assert (b"cache-control", b"no-store") in start["headers"]
    assert answered(measures) == [("/x", "200")]


def test_a_mistake_of_ours_is_logged_and_answered_without_its_words(caplog) -> None:
    measures = Measures()

    start, body = sent_by(ValueError("a secret"), measures)

    assert start["status"] == 500
    assert (b"content-type", b"application/problem+json") in start["headers"]
    assert b"its log has more" in body["body"]
    assert b"secret" not in body["body"]
    assert answered(measures) == [("/x", "500")]
    [record] = caplog.records
    assert (record.levelname, record.path) == ("ERROR", "/x")


def test_nothing_is_sent_to_who_is_gone() -> None:
    measures = Measures()

    assert sent_by(ClientDisconnect(), measures) == []
    assert answered(measures) == []
