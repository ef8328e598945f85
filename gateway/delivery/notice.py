"""Notice: what happened to the gateway itself that its operators should hear of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from gateway.config.duration import format_roughly
from gateway.store.room import MEBIBYTE, Room
from gateway.store.rows import Record

HANDLER = "(gateway)"
"""Stands in the store where other deliveries have their handler's name: our own messages to our operators."""

NoticeKind = Literal[
    "reload_refused",
    "channel_parked",
    "channel_open",
    "dead_letter",
    "plugin_stuck",
    "overdue",
    "store_nearly_full",
    "source_away",
    "source_back",
    "source_left_out",
]


ENDS: Mapping[NoticeKind, NoticeKind] = {"channel_open": "channel_parked", "source_back": "source_away"}
"""Notices of an end of trouble, each with that of the beginning."""


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

    @property
    def is_good(self) -> bool:
        """Whether trouble is over, not begun."""
        return self.kind in ENDS


def dead_letter(record: Record) -> Notice:
    """The notice that a delivery was given up."""
    delivery = record.delivery
    detail = record.attempt.detail if record.attempt else ""
    text = (
        f"Delivery {delivery.id} of handler {delivery.handler!r} to channel {delivery.channel!r} was given up:"
        f" {record.reason}. {detail}\nIts title: {delivery.title}"
    )
    return Notice("dead_letter", delivery.channel, text, delivery.channel, delivery.handler)


def opened(channel: str) -> Notice:
    """The notice that a parked channel takes messages again."""
    return Notice("channel_open", channel, f"Channel {channel!r} takes messages again. What waited is sent.", channel)


def stuck(channel: str, seconds: int) -> Notice:
    """The notice that a plugin hangs."""
    text = (
        f"An attempt to send through channel {channel!r} has not returned after {seconds} s and is given up. "
        "The delivery is tried again; it may have arrived. The thread is lost until the process ends."
    )
    return Notice("plugin_stuck", channel, text, channel)


def overdue(channel: str, count: int, oldest: timedelta) -> Notice:
    """The notice that deliveries have been owed for long."""
    number = "A delivery" if count == 1 else f"{count} deliveries"
    have = "has" if count == 1 else "have"
    text = (
        f"{number} to channel {channel!r} {have} been owed for long, the oldest for {format_roughly(oldest)}. "
        "'gateway status' tells what they wait for."
    )
    return Notice("overdue", channel, text, channel)


def nearly_full(room: Room) -> Notice:
    """The notice that the store will soon take nothing more."""
    left = "none is left" if room.spare is None else f"{room.spare / MEBIBYTE:,.0f} MiB are left on its disk"
    now = "It refuses changes now." if room.full else "When there is none, nothing more is accepted."
    return Notice("store_nearly_full", "store", f"The store has little room: {left}. {now}")


def parked(channel: str, reason: str) -> Notice:
    """The notice that a channel takes no messages."""
    text = f"Channel {channel!r} takes no messages: {reason}. They wait, and it is asked again by and by."
    return Notice("channel_parked", channel, text, channel)


Notify = Callable[[Notice], None]
"""Told of every notice; must not raise."""


def nobody(notice: Notice) -> None:
    """For a dispatcher whose gateway has no operators to tell."""
