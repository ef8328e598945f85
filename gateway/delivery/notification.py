"""Notification: what a handler emits, rendered and bound for one channel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from gateway.format import Format, Severity


@dataclass(frozen=True, slots=True)
class Notification:
    """A rendered message for one channel.

    Attributes:
        handler: who emitted it.
        channel: where it goes.
        body: the text, in ``format``.
        title: one line, may be empty.
        format: what title and body are written in.
        severity: how serious it is.
        mode: ``"shadow"``: keep it as what would have been sent, and send nothing.
        required: somebody waits for it inside the transition.
        give_up: no attempt is made later than this after the acceptance.
    """

    handler: str
    channel: str
    body: str
    title: str = ""
    format: Format = "text"
    severity: Severity = "info"
    mode: Literal["live", "shadow"] = "live"
    required: bool = False
    give_up: timedelta = timedelta(hours=24)
