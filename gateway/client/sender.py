"""Sender: has what waits in a spool taken by a gateway, in a thread of its own, until nothing waits."""

from __future__ import annotations

import http.client
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import random

from gateway.client.line import slimmed
from gateway.client.segment import Batch, Segment
from gateway.client.spool import Spool
from gateway.client.verdict import Apart, Later, Taken, judge
from gateway.client.wire import Answer, Wire

log = logging.getLogger("gateway.client")

LOOK_SECONDS = 10.0
"""How often it is looked for what other processes have left."""

ANSWER_SECONDS = 35.0
"""A gateway answers within 30 seconds, with a 503 if its store is slow."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.25, 60.0
HURRY_SECONDS = 0.25
"""How often a flush has it tried again."""

HELD_BYTES = 4 * 1024 * 1024
"""What the disk did not take is held in memory, up to so many bytes."""


class LaterError(Exception):
    """Nothing can be sent now, and why."""

    def __init__(self, later: Later) -> None:
        self.later = later
        super().__init__(later.why)


def pause(failures: int, asked: float | None, dice: float) -> float:
    """Seconds until the next attempt, after so many failures in a row.

    Args:
        failures: 1 or more.
        asked: what the gateway asked for, if it did: nothing is tried earlier.
        dice: from 0 to 1; spreads the attempts of many processes.
    """
    grown = min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** min(failures - 1, 20))
    jittered = grown * (0.5 + dice / 2)
    return jittered if asked is None else asked + dice * SHORTEST_PAUSE


class Sender:
    """Sends what waits.

    Args:
        spool: where it waits.
        wire: the connection to the gateway.
        url: what the gateway is called in the log.
    """

    def __init__(self, spool: Spool, wire: Wire, url: str) -> None:
        self._spool, self._wire, self._url = spool, wire, url
        self.lost = self.rejected = 0
        self._trouble = ""
        self.forget_inherited()

    def forget_inherited(self) -> None:
        """In a forked child: the thread and what it held are the parent's, and the locks may be held for ever."""
        self._wire.abandon()
        self._thread: threading.Thread | None = None
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._staffing, self._turn = threading.Lock(), threading.Lock()
        self._wanted, self._hurried = threading.Event(), threading.Event()
        self._progress = threading.Condition()
        self._failures = 0
        self._closed = False
        self._deadline: float | None = None

    # for those who append

    def wake(self) -> None:
        """There is something to send. Costs next to nothing, and never waits."""
        if self._thread is None:
            self._staff()
        if not self._wanted.is_set():
            self._wanted.set()

    def _staff(self) -> None:
        """Have a thread that sends."""
        with self._staffing:
            if self._thread is not None or self._closed:
                return
            thread = threading.Thread(target=self._run, name="gateway-client", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is ending and starts no threads; flush() sends by itself
                return
            self._thread = thread

    def hold(self, lines: bytes) -> bool:
        """Keep lines in memory, which the spool did not take; whether there was room."""
        with self._progress:
            if self._held_bytes + len(lines) > HELD_BYTES:
                return False
            self._held.append(lines)
            self._held_bytes += len(lines)
            return True

    def held(self) -> list[bytes]:
        """What is in memory, which is given up here."""
        with self._progress:
            given_up, self._held, self._held_bytes = list(self._held), deque(), 0
        return given_up

    # for those who wait

    @property
    def is_idle(self) -> bool:
        """Whether everything of this process has arrived."""
        return not self._held and self._spool.is_empty

    def flush(self, seconds: float, *, patient: bool = True) -> bool:
        """Wait until everything of this process has arrived, ``seconds`` at most; whether it has.

        Args:
            seconds: how long.
            patient: go on after a failed attempt; else give up, since the gateway is not there.
        """
        deadline = time.monotonic() + seconds
        failures = self._failures
        while not self.is_idle and (left := deadline - time.monotonic()) > 0:
            if self._thread is None:
                self._staff()
            if self._thread is None or not self._thread.is_alive():
                self._send_here(deadline)
            else:
                self._wait(min(left, HURRY_SECONDS))
            if not patient and self._failures > failures:
                break
        return self.is_idle

    def _wait(self, seconds: float) -> None:
        self._hurry()
        with self._progress:
            if not self.is_idle:
                self._progress.wait(seconds)

    def _hurry(self) -> None:
        self._hurried.set()
        self._wanted.set()

    def _send_here(self, deadline: float) -> None:
        """Where no thread can be started."""
        self._deadline = deadline
        later = self._work()
        if self._failures:
            time.sleep(max(0.0, min(later, HURRY_SECONDS, deadline - time.monotonic())))

    def close(self, seconds: float) -> None:
        """Send no more; an attempt in progress is waited for, ``seconds`` at most."""
        self._closed = True
        self._hurry()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    # the thread

    def _run(self) -> None:
        while not self._closed:
            self._wanted.clear()
            self._hurried.clear()
            seconds = self._work()
            (self._hurried if self._failures else self._wanted).wait(seconds)  # in trouble, new ones can wait
        self._wire.close()

    def _work(self) -> float:
        """Send what there is; seconds until it is worth looking again."""
        with self._turn:
            try:
                self._send_own()
                self._send_orphans()
            except LaterError as error:
                return self._postponed(error.later)
            except Exception:
                log.exception("transitions could not be sent to %s, and wait", self._url)
                return self._postponed(Later("an error of the client"))
            return LOOK_SECONDS

    def _send_own(self) -> None:
        while not self._closed and (batch := self._spool.batch()):
            self._send(batch.lines)
            self._spool.settle(batch)
            self._tell_progress()
        while not self._closed and self._held:
            self._send([line for line in self._held[0].split(b"\n") if line])
            with self._progress:
                self._held_bytes -= len(self._held.popleft())
            self._tell_progress()

    def _send_orphans(self) -> None:
        """Send what processes that are gone have left, and in between what this one has to say."""
        for orphan in self._spool.orphans():
            with _released(orphan):
                self._send_all(orphan)

    def _send_all(self, orphan: Segment) -> None:
        batch: Batch | None
        while not self._closed and (batch := orphan.batch()):
            self._send(batch.lines)
            orphan.advance(batch.length)
            self._send_own()

    def _send(self, lines: Sequence[bytes]) -> None:
        """Have ``lines`` taken, or put aside.

        Raises:
            LaterError: nobody says that they were taken.
        """
        if not lines:
            return
        match judge(self._posted(lines), time.time()):
            case Taken(rejected):
                self._recovered()
                for index, complaints in rejected.items():
                    if index < len(lines):
                        self._reject(lines[index], complaints)
            case Apart(why):
                self._send_apart(lines, why)
            case Later() as later:
                raise LaterError(later)

    def _posted(self, lines: Sequence[bytes]) -> Answer:
        seconds = ANSWER_SECONDS if self._deadline is None else max(0.05, self._deadline - time.monotonic())
        try:
            return self._wire.post(b"\n".join(lines) + b"\n", seconds)
        except (OSError, http.client.HTTPException) as error:
            raise LaterError(Later(f"the gateway cannot be reached: {_said(error)}")) from None

    def _send_apart(self, lines: Sequence[bytes], why: str) -> None:
        """Send halves; of one that is too large alone, what happened to whom."""
        if len(lines) > 1:
            middle = len(lines) // 2
            self._send(lines[:middle])
            self._send(lines[middle:])
        elif slim := slimmed(lines[0]):
            log.warning("a transition is too large to be sent whole to %s: %s", self._url, why)
            self._send([slim])
        else:
            self._reject(lines[0], [why])

    def _reject(self, line: bytes, complaints: Sequence[str]) -> None:
        self.rejected += 1
        self._spool.reject(line, complaints)

    # trouble

    def _postponed(self, later: Later) -> float:
        self._failures += 1
        self._tell_progress()
        if later.why != self._trouble:
            self._trouble = later.why
            level = logging.ERROR if later.for_somebody else logging.WARNING
            log.log(level, "transitions wait for the gateway at %s: %s", self._url, later.why)
        return pause(self._failures, later.wait, random())

    def _recovered(self) -> None:
        self._failures = 0
        if self._trouble:
            self._trouble = ""
            log.info("the gateway at %s takes transitions again", self._url)

    def _tell_progress(self) -> None:
        with self._progress:
            self._progress.notify_all()


@contextmanager
def _released(orphan: Segment) -> Iterator[None]:
    """Delete it if all of it was sent; else leave it to the next."""
    try:
        yield
    finally:
        orphan.delete() if orphan.is_drained else orphan.release()


def _said(error: Exception) -> str:
    """An error in words; of those of the library, no values that were sent."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
