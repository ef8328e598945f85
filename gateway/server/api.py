"""The API: every route there is, in the order in which it is documented."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from gateway.observe import CONTENT_TYPE, Metrics
from gateway.server.access import Access
from gateway.server.answers import Answer
from gateway.server.events import Events
from gateway.server.forms import BATCH, STRUCTURED
from gateway.server.health import Health
from gateway.server.intake import Intake
from gateway.server.models import (
    Alive,
    Delivery,
    DeliveryDetail,
    DeliveryPage,
    DeliveryQuery,
    Description,
    EventsTaken,
    Explanation,
    Invalid,
    Ledger,
    NoEventTaken,
    NoOrders,
    NothingTaken,
    NotReady,
    Page,
    Ready,
    Refusal,
    RefusedPage,
    Reloaded,
    ReloadRefused,
    Taken,
    Text,
    TransitionDetail,
    TransitionPage,
    TransitionQuery,
)
from gateway.server.openapi import document
from gateway.server.orders import Orders
from gateway.server.questions import Questions
from gateway.server.reads import Reads
from gateway.server.routes import JSON_OR_ARRAY, JSON_OR_LINES, Route, Work
from gateway.sources.cloudevents import CloudEventPayload
from gateway.sources.openlineage.events import LineageEvent
from gateway.sources.payload import TransitionPayload

V1 = "/api/v1"


def api(access: Access, intake: Intake, reads: Reads, orders: Orders, health: Health, *others: Route) -> list[Route]:
    """All routes, ``others`` and the one that describes them to whoever has ``access`` included."""
    routes = [*_intake(intake), *_reads(reads), *_orders(orders), *_health(health), *others]
    routes.append(_description(lambda: document(routes, access)))
    return routes


def _intake(intake: Intake) -> Iterator[Route]:
    yield Route(
        "POST",
        f"{V1}/transitions",
        intake,
        "token or signature",
        name="takeTransitions",
        summary="Take transitions: one object, an array of them, or one on each line. "
        "What is accepted is on the disk when the answer comes.",
        body=TransitionPayload,
        answers={202: Taken, 400: Refusal, 413: Refusal, 415: Refusal, 422: NothingTaken, 429: Refusal, 503: Refusal},
        body_types=JSON_OR_LINES,
    )


def _reads(reads: Reads) -> Iterator[Route]:
    yield Route(
        "GET",
        f"{V1}/transitions",
        reads.transitions,
        name="listTransitions",
        summary="List transitions, newest first.",
        query=TransitionQuery,
        answers={200: TransitionPage, 422: Invalid, 503: Refusal},
    )
    yield Route(
        "GET",
        f"{V1}/transitions/{{id}}",
        reads.transition,
        name="showTransition",
        summary="Show a transition, and what was told of it.",
        answers={200: TransitionDetail, 404: Refusal, 422: Invalid, 503: Refusal},
    )
    yield Route(
        "GET",
        f"{V1}/deliveries",
        reads.deliveries,
        name="listDeliveries",
        summary="List deliveries, newest first.",
        query=DeliveryQuery,
        answers={200: DeliveryPage, 422: Invalid, 503: Refusal},
    )
    yield Route(
        "GET",
        f"{V1}/deliveries/{{id}}",
        reads.delivery,
        name="showDelivery",
        summary="Show a delivery: its message, its attempts, why it stands where it does.",
        answers={200: DeliveryDetail, 404: Refusal, 422: Invalid, 503: Refusal},
    )
    yield Route(
        "GET",
        f"{V1}/refused",
        reads.refused,
        name="listRefused",
        summary="List events that were not understood, newest first, with what is wrong with them.",
        query=Page,
        answers={200: RefusedPage, 422: Invalid, 503: Refusal},
    )
    yield Route(
        "GET",
        f"{V1}/ledger",
        reads.ledger,
        name="showLedger",
        summary="Show the books: how many deliveries were accepted, and where all of them are.",
        answers={200: Ledger, 422: Invalid, 503: Refusal},
    )
    yield Route(
        "POST",
        f"{V1}/explain",
        reads.explain,
        name="explain",
        summary="Say what would be sent for a transition, and why not more. Sends and keeps nothing.",
        body=TransitionPayload,
        answers={
            200: Explanation,
            400: Refusal,
            413: Refusal,
            415: Refusal,
            422: Invalid,
            429: Refusal,
            503: Refusal,
        },
    )


def _order(verb: str, work: Work, summary: str) -> Route:
    """The route of what can be done to one delivery."""
    return Route(
        "POST",
        f"{V1}/deliveries/{{id}}/{verb}",
        work,
        name=f"{verb}Delivery",
        summary=summary,
        body=NoOrders,
        answers={200: Delivery, 404: Refusal, 409: Refusal, 415: Refusal, 422: Invalid, 503: Refusal},
    )


def _orders(orders: Orders) -> Iterator[Route]:
    again = "Send a pending, dead or cancelled delivery again, with all its attempts before it."
    yield _order("retry", orders.retry, again)
    yield _order("cancel", orders.cancel, "End a pending delivery, so that it is not sent.")
    yield _order("drop", orders.drop, "Take a dead letter out of the way.")
    yield Route(
        "POST",
        f"{V1}/reload",
        orders.reload,
        name="reload",
        summary="Read the configuration now, and put it into force if it is good.",
        body=NoOrders,
        answers={200: Reloaded, 415: Refusal, 422: ReloadRefused, 503: Refusal},
    )


def _health(health: Health) -> Iterator[Route]:
    yield Route(
        "GET",
        "/livez",
        health.alive,
        "nothing",
        name="alive",
        summary="Whether the process lives.",
        answers={200: Alive},
    )
    yield Route(
        "GET",
        "/readyz",
        health.ready,
        "nothing",
        name="ready",
        summary="Whether transitions can be taken now, and why not.",
        answers={200: Ready, 503: NotReady},
    )


def standard_routes(lineage: Events, cloudevents: Events) -> list[Route]:
    """The routes to which engines send events in the form of an open standard."""
    refused: dict[int, type[BaseModel]] = {400: Refusal, 413: Refusal, 415: Refusal, 422: NoEventTaken, 503: Refusal}
    return [
        Route(
            "POST",
            f"{V1}/lineage",
            lineage,
            "token or signature",
            name="takeLineage",
            summary="Take an event of OpenLineage, or an array of them.",
            body=LineageEvent,
            answers={200: EventsTaken, 201: EventsTaken} | refused,
            body_types=JSON_OR_ARRAY,
        ),
        Route(
            "POST",
            f"{V1}/cloudevents",
            cloudevents,
            "token or signature",
            name="takeCloudEvents",
            summary="Take CloudEvents, in binary, structured or batch form, as the configuration says what they mean.",
            body=CloudEventPayload,
            answers={202: EventsTaken} | refused,
            body_types={STRUCTURED: "one", BATCH: "array"},
        ),
    ]


def metrics_route(metrics: Metrics, questions: Questions) -> Route:
    """The route by which Prometheus asks."""

    async def scrape(request: Request) -> Response:
        return Response(await questions.ask(metrics.exposition), media_type=CONTENT_TYPE)

    return Route(
        "GET",
        "/metrics",
        scrape,
        name="scrape",
        summary="Everything that is counted and measured, as Prometheus reads it.",
        answers={200: Text, 503: Refusal},
        content_type="text/plain",
    )


def _description(described: Callable[[], dict[str, Any]]) -> Route:
    written: list[bytes] = []

    async def describe(request: Request) -> Answer:
        if not written:  # made when it is first asked for: it costs some milliseconds, and few ever ask
            written.append(to_json(described()))
        return Answer(written[0])

    return Route(
        "GET",
        f"{V1}/openapi.json",
        describe,
        name="describe",
        summary="This description, as OpenAPI 3.1.",
        answers={200: Description},
    )
