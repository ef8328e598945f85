"""What a channel is: a named destination that is told a message and reports an outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.format import Format, Severity

Overflow = Literal["split", "truncate"]

OutcomeKind = Literal["delivered", "temporary", "permanent", "channel", "unknown"]
"""``delivered``: the service took it. ``temporary``: it did not, try later. ``permanent``: this
message will never be taken. ``channel``: no message will be taken until someone mends the channel
(credentials, certificate, address). ``unknown``: it may have arrived (no answer after the request
was written); tried again, and said so."""


@dataclass(frozen=True, slots=True)
class Message:
    """One rendered notification on its way to one channel.

    Attributes:
        body: the text, never empty, in ``format``.
        title: one line of plain text whatever the format, may be empty.
        severity: colour and icon where the service has them.
        format: what ``body`` is written in.
        idempotency_key: stable over all attempts of a delivery; a webhook can tell a repeat by it.
    """

    body: str
    title: str = ""
    severity: Severity = "info"
    format: Format = "text"
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt.

    Attributes:
        kind: see :data:`OutcomeKind`.
        reason: a word of :data:`~gateway.channels.reasons.REASONS` (``"ok"``, ``"http_503"``, ``"refused"`` …).
        detail: what the service said, shortened and free of secrets.
        retry_after: seconds the service asked us to wait, if it did.
    """

    kind: OutcomeKind
    reason: str
    detail: str = ""
    retry_after: float | None = None


DELIVERED = Outcome("delivered", "ok")


class Channel(Protocol):
    """A destination. ``send`` may be called from several threads at once, up to ``width`` of them.

    ``default_rate`` is the pace the service asks for, in seconds between messages; 0 when it asks for none.
    """

    name: str
    format: Format
    width: int
    default_rate: float

    def send(self, message: Message, timeout: float) -> Outcome:
        """Try to deliver once, within ``timeout`` seconds. Never raises: a failure is an outcome."""

    def renew(self) -> None:
        """A ``send`` hangs and is given up: keep the next one out of whatever it hangs in. Must not wait."""

    def close(self) -> None:
        """Let go of sockets and threads. Safe to call twice."""
