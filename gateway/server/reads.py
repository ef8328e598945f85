"""Reads: questions about what the store keeps, and about what the rules would do. They change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import unquote

from pydantic import BaseModel
from starlette.requests import Request

from gateway.app import Gateway
from gateway.errors import PayloadError
from gateway.explain import explain
from gateway.server.answers import Answer, RefusedError
from gateway.server.body import Bodies
from gateway.server.models import (
    Delivery,
    DeliveryDetail,
    DeliveryPage,
    DeliveryQuery,
    Explanation,
    Ledger,
    Page,
    Query,
    RefusedEvent,
    RefusedPage,
    Transition,
    TransitionDetail,
    TransitionPage,
    TransitionQuery,
)
from gateway.server.queries import number, read_query
from gateway.server.questions import Questions
from gateway.sources.payload import NOT_JSON, parse_transition
from gateway.store import ledger
from gateway.store.rows import DeliveryFilter, DeliveryHistory, TransitionFilter
from gateway.store.store import Store

T = TypeVar("T")


class Reads:
    """Answers questions about one gateway.

    Args:
        gateway: the one.
        questions: the threads in which they are answered.
        bodies: reads what a request brings.
    """

    def __init__(self, gateway: Gateway, questions: Questions, bodies: Bodies) -> None:
        self._gateway, self._questions, self._bodies = gateway, questions, bodies

    @property
    def _store(self) -> Store:
        return self._gateway.store

    async def transitions(self, request: Request) -> Answer:
        """A page of transitions."""
        asked = read_query(request, TransitionQuery)
        wanted = TransitionFilter(**asked.model_dump(exclude={"limit", "before"}))
        return await self._told(lambda: _transitions(self._store, wanted, asked))

    async def transition(self, request: Request) -> Answer:
        """One transition, with its deliveries."""
        read_query(request, Query)
        id = unquote(request.path_params["id"])
        return await self._told(lambda: _transition(self._store, id))

    async def deliveries(self, request: Request) -> Answer:
        """A page of deliveries."""
        asked = read_query(request, DeliveryQuery)
        return await self._told(lambda: _deliveries(self._store, asked))

    async def delivery(self, request: Request) -> Answer:
        """One delivery, with its attempts."""
        read_query(request, Query)
        id = number(request.path_params["id"])
        return await self._told(lambda: DeliveryDetail.whole(history_of(self._store, id)))

    async def refused(self, request: Request) -> Answer:
        """A page of events that were not understood."""
        asked = read_query(request, Page)
        return await self._told(lambda: _refused(self._store, asked))

    async def ledger(self, request: Request) -> Answer:
        """The books."""
        read_query(request, Query)
        return await self._told(lambda: _ledger(self._store))

    async def explain(self, request: Request) -> Answer:
        """What every handler would do with a transition."""
        read_query(request, Query)
        body = await self._bodies.json(request)
        return await self._told(lambda: _explanation(self._gateway, body))

    async def _told(self, question: Callable[[], BaseModel]) -> Answer:
        return Answer(await self._questions.ask(lambda: question().model_dump_json().encode()))


def _transitions(store: Store, wanted: TransitionFilter, asked: TransitionQuery) -> TransitionPage:
    found, more = _page(store.transitions(wanted, limit=asked.limit + 1, before=asked.before), asked.limit)
    return TransitionPage(transitions=tuple(map(Transition.of, found)), next=str(found[-1].seq) if more else None)


def _deliveries(store: Store, asked: DeliveryQuery) -> DeliveryPage:
    seq = None
    if asked.transition is not None:
        cause = store.transition(asked.transition)
        if cause is None:
            return DeliveryPage(deliveries=(), next=None)
        seq = cause.seq
    wanted = DeliveryFilter(asked.status, asked.channel, asked.handler, asked.since, seq)
    found, more = _page(store.deliveries(wanted, limit=asked.limit + 1, before=asked.before), asked.limit)
    return DeliveryPage(deliveries=tuple(map(Delivery.of, found)), next=str(found[-1].id) if more else None)


def _refused(store: Store, asked: Page) -> RefusedPage:
    found, more = _page(store.refused(limit=asked.limit + 1, before=asked.before), asked.limit)
    return RefusedPage(refused=tuple(map(RefusedEvent.of, found)), next=str(found[-1].id) if more else None)


def _page(found: Sequence[T], limit: int) -> tuple[Sequence[T], bool]:
    """As many as are wanted, and whether there are more."""
    return found[:limit], len(found) > limit


def _transition(store: Store, id: str) -> TransitionDetail:
    row = None if "\0" in id else store.transition(id)
    if row is None:
        raise RefusedError(404, "there is no transition of this id; it may have been deleted after its time")
    return TransitionDetail.whole(row, store.deliveries(DeliveryFilter(transition_seq=row.seq), limit=MOST_OF_ONE))


MOST_OF_ONE = 1000
"""Deliveries of one transition that are told with it."""


def history_of(store: Store, id: int) -> DeliveryHistory:
    """One delivery; raises ``RefusedError`` if there is none."""
    history = store.history(id)
    if history is None:
        raise RefusedError(404, f"there is no delivery {id}; it may have been deleted after its time")
    return history


def _ledger(store: Store) -> Ledger:
    return Ledger.of(*store.ask(lambda connection: (ledger.lines(connection), ledger.counters(connection))))


def _explanation(gateway: Gateway, body: bytes) -> Explanation:
    try:
        transition = parse_transition(body)
    except PayloadError as error:
        status = 400 if error.complaints[0].startswith(NOT_JSON) else 422
        raise RefusedError(status, "; ".join(error.complaints), more={"complaints": error.complaints}) from None
    return Explanation.of(explain(gateway.ruleset, transition))
