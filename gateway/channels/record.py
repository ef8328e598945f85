"""The channel ``record://NAME``: keeps messages in memory, and fails on demand. For tests and trials.

``record://ci?fail=2&delay=0.5&outcome=temporary`` fails the first two sends with that kind of outcome
and takes half a second for each.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import get_args

from gateway.channels.base import DELIVERED, Message, Outcome, OutcomeKind
from gateway.channels.parameters import read_url
from gateway.errors import ChannelError
from gateway.format import Format

PARAMETERS = ("delay", "fail", "outcome")


@dataclass(slots=True)
class Recording:
    """What the channels of one name were sent.

    Attributes:
        attempts: every message a send was tried with, in order.
        messages: those that were delivered.
    """

    attempts: list[Message] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    def clear(self) -> None:
        """Forget everything, failures already served included."""
        self.attempts.clear()
        self.messages.clear()


_recordings: dict[str, Recording] = {}
_lock = threading.Lock()


def recording(name: str) -> Recording:
    """What went to ``record://name``, in this process; empty until something does."""
    with _lock:
        return _recordings.setdefault(name, Recording())


class RecordChannel:
    """Keeps messages.

    Args:
        name: what the configuration calls it.
        into: where to keep them.
        fail: how many sends fail before the first that does not.
        delay: seconds each send takes.
        outcome: the kind of outcome of those that fail.
        format: what its messages are rendered as.
    """

    width = 8
    default_rate = 0.0

    def __init__(
        self,
        name: str,
        into: Recording | None = None,
        *,
        fail: int = 0,
        delay: float = 0.0,
        outcome: OutcomeKind = "temporary",
        format: Format = "text",
    ) -> None:
        self.name = name
        self.format: Format = format
        self.recording = Recording() if into is None else into
        self._failures_left, self._delay, self._failure = fail, delay, Outcome(outcome, "asked_to_fail")
        self._lock = threading.Lock()
        self._closed = threading.Event()

    @classmethod
    def from_url(cls, name: str, url: str, format: Format = "text") -> RecordChannel:
        """The channel of ``record://BUCKET``; what it keeps is found again by ``recording("BUCKET")``.

        Raises:
            ChannelError: the URL names no bucket, or a parameter is not understood.
        """
        bucket, given = read_url(url, PARAMETERS)
        if not bucket:
            raise ChannelError(["record:// needs a name, as in record://ci"])
        return cls(
            name,
            recording(bucket),
            fail=int(_number("fail", given.get("fail", "0"))),
            delay=_number("delay", given.get("delay", "0")),
            outcome=_kind(given.get("outcome", "temporary")),
            format=format,
        )

    def send(self, message: Message, timeout: float) -> Outcome:
        """Keep ``message``, or fail as told. A delay beyond ``timeout`` ends in an unknown outcome."""
        self._closed.wait(min(self._delay, timeout))
        with self._lock:
            self.recording.attempts.append(message)
            if self._delay > timeout:
                return Outcome("unknown", "read_timeout")
            if self._failures_left > 0:
                self._failures_left -= 1
                return self._failure
            self.recording.messages.append(message)
        return DELIVERED

    def renew(self) -> None:
        """Nothing to do: a send never hangs."""

    def close(self) -> None:
        """End the delays in progress."""
        self._closed.set()


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ChannelError([f"parameter '{name}' of record:// must be a number, not negative"])
    return value


def _kind(text: str) -> OutcomeKind:
    for kind in get_args(OutcomeKind):
        if text == kind != "delivered":
            found: OutcomeKind = kind
            return found
    raise ChannelError(["parameter 'outcome' of record:// must be temporary, permanent, channel or unknown"])
