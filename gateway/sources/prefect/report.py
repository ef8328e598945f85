"""Report: how following a Prefect server goes, for metrics and for whoever asks. Written by one thread, read by any."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

SweepResult = Literal["ok", "failed"]
Way = Literal["stream", "sweep", "history", "heartbeats"]
"""How something came to be known; by missing heartbeats, that a run is lost."""

WAYS: tuple[Way, ...] = ("stream", "sweep", "history", "heartbeats")


@dataclass(slots=True)
class Report:
    """How it goes with one server.

    Attributes:
        server: its address, as it may be shown.
        connected: whether the stream of events is open.
        sweeps: how many went well, and how many did not.
        told: how many transitions each way was the first to tell.
        undetailed: transitions told without the details that a handler reads, since the API did not give them in time.
        position: how far everything has been read; ``None`` while that is not known.
        contact_at: when the API last answered.
    """

    server: str
    connected: bool = False
    sweeps: Counter[SweepResult] = field(default_factory=Counter)
    told: Counter[Way] = field(default_factory=Counter)
    undetailed: int = 0
    position: datetime | None = None
    contact_at: datetime | None = None
