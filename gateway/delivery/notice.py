"""Notice: what happened to the gateway itself that its operators should hear of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gateway.store.rows import Record

NoticeKind = Literal["reload_refused", "channel_parked", "dead_letter"]


@dataclass(frozen=True, slots=True)
class Notice:
    """One event in the gateway's own life.

    Attributes:
        kind: what happened.
        subject: to what: a channel, the configuration. Repeats about one subject are told once in a while.
        text: what happened, in words and without secrets.
        channel: the channel that is in trouble, through which it would be no use to tell.
        handler: whose message was given up.
    """

    kind: NoticeKind
    subject: str
    text: str
    channel: str | None = None
    handler: str = ""


def dead_letter(record: Record) -> Notice:
    """The notice that a delivery was given up."""
    delivery = record.delivery
    detail = record.attempt.detail if record.attempt else ""
    text = (
        f"Delivery {delivery.id} of handler {delivery.handler!r} to channel {delivery.channel!r} was given up:"
        f" {record.reason}. {detail}\nIts title: {delivery.title}"
    )
    return Notice("dead_letter", delivery.channel, text, delivery.channel, delivery.handler)


def parked(channel: str, reason: str) -> Notice:
    """The notice that a channel takes no messages."""
    text = f"Channel {channel!r} takes no messages: {reason}. They wait, and it is asked again by and by."
    return Notice("channel_parked", channel, text, channel)


Notify = Callable[[Notice], None]
"""Told of every notice; must not raise."""


def nobody(notice: Notice) -> None:
    """For a dispatcher whose gateway has no operators to tell."""
