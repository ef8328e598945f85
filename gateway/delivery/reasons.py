"""Why a delivery stands where it does: the reasons of outcomes, and those the gateway has of its own."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.channels.reasons import REASONS

WHY: Mapping[str, str] = {
    **REASONS,
    "shadow": "its handler is in shadow mode: recorded, not sent",
    "parked": "the channel is parked after failures",
    "rate": "the channel's rate allows no more for now",
    "retried": "retried by hand",
    "cancelled": "cancelled by hand",
    "dropped": "a dead letter, taken out of the way by hand",
    "give_up": "it waited too long",
    "channel_removed": "the configuration has no such channel any more",
    "node_lost": "the process that held it is gone",
    "closing": "the process that held it ended",
    "store_silent": "the process that held it could not reach the store, and was not sure of it any more",
}
"""Every reason the row of a delivery may give, and what it means."""
