"""One attempt in progress: its deadline, and what was seen on the wire while it lasted.

Everything this package does beneath apprise asks :func:`current` first. Outside an attempt there is
none, and a host process that uses requests, smtplib or apprise for itself sees no difference.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.channels.transport import Transport

MAX_NOTES, MAX_NOTE = 20, 500


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response: its status, its ``Retry-After`` header and the beginning of its body."""

    status: int
    retry_after: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """An error in place of an answer; ``early`` when nothing of the message had been sent by then."""

    error: BaseException
    early: bool = False


@dataclass(frozen=True, slots=True)
class PartlyRefused:
    """The mail server took the message for some recipients and answered the others with ``codes``."""

    codes: tuple[int, ...]


Event = Answer | Fault | PartlyRefused


@dataclass(slots=True)
class Attempt:
    """What is known about the attempt in progress.

    Attributes:
        deadline: when it must be over, on the clock of ``time.monotonic``.
        transport: what its connections come from.
        idempotency_key: sent along with HTTP requests unless empty.
        events: answers and errors, in order.
        notes: warnings of the library beneath, in order.
    """

    deadline: float
    transport: Transport
    idempotency_key: str = ""
    events: list[Event] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def remaining(self) -> float:
        """Seconds left; zero or less when the deadline has passed."""
        return self.deadline - time.monotonic()

    def note(self, text: str) -> None:
        """Keep a line of the library's log, shortened; beyond a fixed number they are dropped."""
        if len(self.notes) < MAX_NOTES:
            self.notes.append(text[:MAX_NOTE])


_current: ContextVar[Attempt | None] = ContextVar("gateway_attempt", default=None)


def current() -> Attempt | None:
    """The attempt in progress in this thread, if there is one."""
    return _current.get()


def in_progress() -> Attempt:
    """The attempt in progress.

    Raises:
        RuntimeError: there is none.
    """
    attempt = _current.get()
    if attempt is None:
        raise RuntimeError("no attempt is in progress")
    return attempt


@contextmanager
def attempting(attempt: Attempt) -> Iterator[Attempt]:
    """Make ``attempt`` the one in progress until the block ends."""
    token = _current.set(attempt)
    try:
        yield attempt
    finally:
        _current.reset(token)


class _TimedReader(io.RawIOBase):
    """Reads a socket's stream and gives each read only the time that is left.

    A timeout of the socket holds for one read: a peer that sends a byte every second would never run
    into it.
    """

    def __init__(self, stream: Any, sock: socket.socket, attempt: Attempt) -> None:
        self._stream, self._sock, self._attempt = stream, sock, attempt
        self._patience = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._attempt.remaining()
        if left <= 0:
            raise TimeoutError("the deadline of the attempt has passed")
        self._sock.settimeout(left if self._patience is None else min(left, self._patience))
        count: int | None = self._stream.readinto(buffer)
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def timed(stream: io.BufferedReader, sock: socket.socket, attempt: Attempt) -> io.BufferedReader:
    """``stream``, made from ``sock``, with every read bounded by the deadline of ``attempt``."""
    return io.BufferedReader(_TimedReader(stream.detach(), sock, attempt))
