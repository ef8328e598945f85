"""The channel ``console://``: prints each message as one tidy block."""

from __future__ import annotations

import re
import sys
from typing import TextIO

from gateway.channels.base import DELIVERED, Message, Outcome
from gateway.channels.parameters import read_url
from gateway.format import Format

RULE_WIDTH = 72

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class ConsoleChannel:
    """Prints to a stream.

    Args:
        name: what the configuration calls it; shown above each message.
        stream: where to print; whatever ``sys.stdout`` is at the time unless given.
        format: what its messages are rendered as.
    """

    width = 1
    default_rate = 0.0

    def __init__(self, name: str, stream: TextIO | None = None, format: Format = "text") -> None:
        self.name = name
        self.format: Format = format
        self._stream = stream

    @classmethod
    def from_url(cls, name: str, url: str, format: Format = "text") -> ConsoleChannel:
        """The channel of ``console://``.

        Raises:
            ChannelError: the URL has parameters.
        """
        read_url(url, ())
        return cls(name, format=format)

    def send(self, message: Message, timeout: float) -> Outcome:
        """Print ``message`` in one write, so that blocks of several threads do not mix. Ignores ``timeout``."""
        stream = self._stream or sys.stdout
        try:
            stream.write(block(self.name, message))
            stream.flush()
        except (OSError, ValueError) as error:
            return Outcome("temporary", "write_failed", type(error).__name__)
        return DELIVERED

    def renew(self) -> None:
        """Nothing to do: there is one stream."""

    def close(self) -> None:
        """Nothing to let go of: the stream belongs to whoever opened it."""


def block(name: str, message: Message) -> str:
    """``message`` as printed: a rule with channel and severity, the title, the body indented, an empty line."""
    rule = f"── {name} · {message.severity} "
    lines = [rule + "─" * (RULE_WIDTH - len(rule))]
    if message.title:
        lines.append(_printable(message.title))
    lines += [f"  {line}".rstrip() for line in _printable(message.body).splitlines()]
    return "\n".join(lines) + "\n\n"


def _printable(text: str) -> str:
    """``text`` without control characters: a terminal would obey those that come with an event."""
    return _CONTROLS.sub("", text)
