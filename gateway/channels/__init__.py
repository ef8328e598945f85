"""Channels: named destinations with one URL each. Light to import; apprise comes with the first one that needs it."""

from gateway.channels.base import DELIVERED, Channel, Message, Outcome, OutcomeKind, Overflow
from gateway.channels.console import ConsoleChannel
from gateway.channels.factory import build, check_url
from gateway.channels.reasons import REASONS
from gateway.channels.record import RecordChannel, Recording, recording
from gateway.format import Format, Severity

__all__ = [
    "DELIVERED",
    "REASONS",
    "Channel",
    "ConsoleChannel",
    "Format",
    "Message",
    "Outcome",
    "OutcomeKind",
    "Overflow",
    "RecordChannel",
    "Recording",
    "Severity",
    "build",
    "check_url",
    "recording",
]
