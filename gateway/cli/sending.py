"""The command send: one message through one channel, here and now."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Annotated

import typer

from gateway.channels.base import Message, Outcome
from gateway.channels.reasons import REASONS
from gateway.cli.configuration import load_config
from gateway.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from gateway.cli.output import FINDINGS, USAGE, fail, print_json, say, warn
from gateway.compile import Destination, connect
from gateway.format import Severity
from gateway.spelling import no_such


@dataclass(frozen=True, slots=True)
class Sent:
    """One attempt: through which channel, what came of it, how long it took."""

    channel: str
    outcome: Outcome
    milliseconds: int

    @property
    def delivered(self) -> bool:
        """Whether the service took the message."""
        return self.outcome.kind == "delivered"

    def __str__(self) -> str:
        if self.delivered:
            return f"{self.channel}: delivered in {self.milliseconds} ms"
        outcome = self.outcome
        meaning = f" ({REASONS[outcome.reason]})" if outcome.reason in REASONS else ""
        detail = f": {outcome.detail}" if outcome.detail else ""
        return f"{self.channel}: not delivered: {outcome.kind}, {outcome.reason}{meaning}{detail}"


def send(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="A channel or group.", show_default=False)],
    message: Annotated[
        str, typer.Argument(metavar="MESSAGE", help="The text; - reads it from standard input.", show_default=False)
    ] = "",
    title: Annotated[
        str, typer.Option("--title", metavar="TEXT", help="One line above the message.", show_default=False)
    ] = "",
    severity: Annotated[Severity, typer.Option("--severity", help="How serious it is.")] = "info",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Try a channel: send one message through it now.

    It says what became of the message. This is one real attempt that goes past the outbox: it is
    not kept, not retried, and not counted against the channel's rate. Exit code 1 if it is not
    delivered.
    """
    loaded = load_config(config)
    if channel not in loaded.channel_names:
        fail(no_such("channel", channel, loaded.channel_names), USAGE)
    body = sys.stdin.read() if message == "-" else message
    text = Message(body or f"A test message from {loaded.sound.gateway.name}.", title, severity)
    sent = [_attempt(destination, text) for destination in connect(loaded, channel).values()]
    if as_json:
        print_json(sent)
    for one in sent if not as_json else ():
        say(str(one), "green") if one.delivered else warn(str(one), "red")
    if not all(one.delivered for one in sent):
        raise typer.Exit(FINDINGS)


def _attempt(destination: Destination, message: Message) -> Sent:
    began = time.monotonic()
    channel = destination.channel
    try:
        outcome = channel.send(message, destination.written.timeout.total_seconds())
    finally:
        channel.close()
    return Sent(channel.name, outcome, round((time.monotonic() - began) * 1000))
