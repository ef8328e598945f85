"""Filters: which events the server is asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

RUNS = ("prefect.flow-run.", "prefect.task-run.")
"""What the names of events about runs begin with."""

HEARTBEAT = "prefect.flow-run.heartbeat"
FOREVER = "2100-01-01T00:00:00Z"
"""An end must be named: without one, the server takes now, and its stream tells nothing at all."""


def occurred(since: datetime) -> dict[str, str]:
    """Everything from ``since`` on, that instant included."""
    return {"since": since.isoformat(), "until": FOREVER}


def changes(since: datetime) -> dict[str, Any]:
    """State changes from ``since`` on, in the order they occurred."""
    return {"occurred": occurred(since), "event": {"prefix": [*RUNS], "exclude_name": [HEARTBEAT]}, "order": "ASC"}


def heartbeats(flow_run_id: str, since: datetime) -> dict[str, Any]:
    """The heartbeats of a flow run from ``since`` on, the last one first."""
    return {
        "occurred": occurred(since),
        "event": {"name": [HEARTBEAT]},
        "resource": {"id": [f"prefect.flow-run.{flow_run_id}"]},
        "order": "DESC",
    }
