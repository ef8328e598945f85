"""Orders: what operators have the gateway do."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime

from pydantic import ValidationError
from starlette.requests import Request

from gateway.app import Gateway
from gateway.server.answers import Answer, RefusedError
from gateway.server.body import Bodies
from gateway.server.models import Delivery, NoOrders, Query, Reloaded
from gateway.server.queries import number, read_query
from gateway.server.questions import Questions
from gateway.server.reads import history_of
from gateway.store.store import Store

Order = Callable[[Store, int, datetime], Future[bool]]


class Orders:
    """Has one gateway do things.

    Args:
        gateway: the one.
        questions: the threads in which it does them.
        bodies: reads what a request brings.
    """

    def __init__(self, gateway: Gateway, questions: Questions, bodies: Bodies) -> None:
        self._gateway, self._questions, self._bodies = gateway, questions, bodies

    async def retry(self, request: Request) -> Answer:
        """Send a delivery again."""
        return await self._carry_out(Store.retry, request)

    async def cancel(self, request: Request) -> Answer:
        """End a delivery that waits."""
        return await self._carry_out(Store.cancel, request)

    async def drop(self, request: Request) -> Answer:
        """Take a dead letter out of the way."""
        return await self._carry_out(Store.drop, request)

    async def _check(self, request: Request) -> None:
        """Refuse what says more than its path: it would be ignored."""
        read_query(request, Query)
        body = await self._bodies.json(request)
        try:
            NoOrders.model_validate_json(body or b"{}")
        except ValidationError:
            raise RefusedError(422, "the body must be an empty object: {}") from None

    async def _carry_out(self, order: Order, request: Request) -> Answer:
        await self._check(request)
        id = number(request.path_params["id"])
        told = await self._questions.ask(lambda: carried_out(self._gateway.store, order, id))
        return Answer(told.model_dump_json().encode())

    async def reload(self, request: Request) -> Answer:
        """Read the configuration now."""
        await self._check(request)
        told = Reloaded.of(await self._questions.ask(self._gateway.reload))
        if not told.accepted:
            more = told.model_dump()
            raise RefusedError(422, "the configuration has errors; the last good one stays", more=more)
        return Answer(told.model_dump_json().encode())


def carried_out(store: Store, order: Order, id: int) -> Delivery:
    """The delivery ``id``, once ``order`` was carried out on it.

    Raises:
        RefusedError: 404, there is none; 409, the order is not for one in its status.
    """
    done = order(store, id, store.now()).result()
    delivery = history_of(store, id).delivery
    if not done:
        raise RefusedError(409, f"delivery {id} is left alone: it is {delivery.status}")
    return Delivery.of(delivery)
