"""A channel whose outcomes a test writes down beforehand."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from gateway.channels.base import DELIVERED, Message, Outcome
from gateway.format import Format


class ScriptedChannel:
    """Remembers what it is sent and answers with the outcomes of ``script``, then with delivered.

    Args:
        name: the channel's name.
        script: an outcome for each send, in order.
        width: how many sends may run at once.

    While ``gate`` is cleared, sends block: the channel hangs. ``most_at_once`` tells how many ever ran at once.
    """

    format: Format = "text"
    default_rate = 0.0

    def __init__(self, name: str = "oncall", script: Iterable[Outcome] = (), *, width: int = 4) -> None:
        self.name, self.width = name, width
        self.attempts: list[Message] = []
        self.delivered: list[Message] = []
        self.most_at_once = 0
        self.closed = False
        self.renewed = 0
        self.gate = threading.Event()
        self.gate.set()
        self._script = iter(script)
        self._lock = threading.Lock()
        self._sending = 0

    def send(self, message: Message, timeout: float) -> Outcome:
        """The next outcome of the script."""
        with self._lock:
            self.attempts.append(message)
            outcome = next(self._script, DELIVERED)
            self._sending += 1
            self.most_at_once = max(self.most_at_once, self._sending)
        opened = self.gate.wait(timeout)
        with self._lock:
            self._sending -= 1
            if not opened:
                return Outcome("unknown", "read_timeout")
            if outcome.kind == "delivered":
                self.delivered.append(message)
        return outcome

    def renew(self) -> None:
        """Note that it was made anew."""
        self.renewed += 1

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True
