"""Builders: transitions and what belongs to them, of which a test names only what matters to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.delivery.notification import Notification
from gateway.states import STATES
from gateway.store.rows import Acceptance, NewDelivery, TransitionRow
from gateway.transition import Obj, Transition, new_id

MOMENT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""A Monday morning."""


def transition(
    task: str = "load", flow: str = "etl", old: str = "Running", new: str = "Failed", **more: Any
) -> Transition:
    """``task`` of ``flow`` goes from ``old`` to ``new``; ``more`` is for :meth:`Transition.of`."""
    obj = Obj("task", task, run_id="run-1", flow=Obj("flow", flow))
    return Transition.of(obj, STATES[old](), STATES[new]("the table is gone"), **more)


def notification(channel: str = "oncall", **more: Any) -> Notification:
    """A notification to ``channel``; ``more`` are fields of it."""
    return Notification(**{"handler": "load-failed", "channel": channel, "body": "load failed", **more})


def new_delivery(channel: str = "oncall", **more: Any) -> NewDelivery:
    """A delivery to ``channel`` on its way into the store; ``more`` are fields of it."""
    defaults: dict[str, Any] = {
        "handler": "load-failed",
        "channel": channel,
        "title": "load",
        "body": "load failed",
        "format": "text",
        "severity": "failure",
        "give_up_after": timedelta(hours=24),
    }
    return NewDelivery(**(defaults | more))


def acceptance(*deliveries: NewDelivery, id: str | None = None, now: datetime = MOMENT) -> Acceptance:
    """A transition, received at ``now``, with ``deliveries``."""
    row = TransitionRow(
        id=id or new_id(),
        source="local",
        kind="task",
        obj_name="load",
        flow_name="etl",
        run_id="run-1",
        old_type="Running",
        new_type="Failed",
        payload="{}",
        occurred_at=now,
        received_at=now,
    )
    return Acceptance(row, deliveries)
