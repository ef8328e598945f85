"""The flow the demo runs: one task succeeds, one fails and is retried, one fails for good and carries data."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from gateway.flows import Flow, signals, task
from gateway.handlers import StateHandler

ORDERS = [f"order {number}" for number in range(4701, 4721)]
WITHOUT_CUSTOMER = ORDERS[10:13]
RETRY_DELAY = timedelta(seconds=1)


def nightly_orders(*state_handlers: StateHandler) -> Flow:
    """The flow, every change of its state and its tasks' states told to ``state_handlers``."""
    answers = iter([ConnectionError("no exchange rates")])

    @task(state_handlers=state_handlers)
    def fetch() -> list[str]:
        return ORDERS

    @task(state_handlers=state_handlers, max_retries=2, retry_delay=RETRY_DELAY)
    def convert(orders: list[str]) -> int:
        for failure in answers:
            raise failure
        return len(orders)

    @task(state_handlers=state_handlers)
    def check(orders: list[str]) -> None:
        failure: Any = signals.FAIL(f"{len(WITHOUT_CUSTOMER)} of {len(orders)} orders have no customer")
        failure.rows, failure.first = len(WITHOUT_CUSTOMER), WITHOUT_CUSTOMER[0]
        raise failure

    with Flow("nightly-orders", state_handlers=state_handlers) as flow:
        orders = fetch()
        convert(orders)
        check(orders)
    return flow
