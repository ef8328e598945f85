"""Sender: has what waits in a spool taken by a gateway, in a thread of its own, until nothing waits."""

from __future__ import annotations

import http.client
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from random import random

from gateway.client.line import slimmed
from gateway.client.segment import Batch, Segment
from gateway.client.sifting import sift
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

TRIES_TOGETHER = 5
"""So often what fails at the gateway is tried together, before it is looked for one that does not let others pass."""

TIMES_FOUND = 3
"""So often it must be found to be to blame."""

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
        self.rejected = 0
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
        self._taken = 0
        self._tries: dict[bytes, tuple[int, int]] = {}
        self._found: dict[bytes, int] = {}
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
                self._wait(min(left, HURRY_SECONDS), math.inf if patient else failures)
            if not patient and self._failures > failures:
                break
        return self.is_idle

    def _wait(self, seconds: float, most_failures: float) -> None:
        """Have it tried now, and wait for what comes of it; a failed attempt is not followed by the next at once."""
        self._hurry()
        with self._progress:
            self._progress.wait_for(lambda: self.is_idle or self._failures > most_failures, seconds)

    def _hurry(self) -> None:
        self._hurried.set()
        self._wanted.set()

    def _send_here(self, deadline: float) -> None:
        """Where no thread can be started."""
        self._deadline = deadline
        try:
            later = self._work()
        finally:
            self._deadline = None
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
            self._send(batch.lines, partial(self._spool.behind, batch))
            self._spool.settle(batch)
            self._tell_progress()
        while not self._closed and (held := self._first_held()):
            self._send([line for line in held.split(b"\n") if line])
            self._let_go(held)
            self._tell_progress()

    def _first_held(self) -> bytes:
        with self._progress:
            return self._held[0] if self._held else b""

    def _let_go(self, sent: bytes) -> None:
        """Of what is in memory, unless it was given up meanwhile."""
        with self._progress:
            if self._held and self._held[0] is sent:
                self._held_bytes -= len(self._held.popleft())

    def _send_orphans(self) -> None:
        """Send what processes that are gone have left, and in between what this one has to say."""
        failed: LaterError | None = None
        for orphan in self._spool.orphans():
            with _released(orphan):
                try:
                    self._send_all(orphan)
                except LaterError as error:
                    if not error.later.may_be_theirs:
                        raise
                    failed = failed or error
        if failed is not None:
            raise failed

    def _send_all(self, orphan: Segment) -> None:
        batch: Batch | None
        while not self._closed and (batch := orphan.batch()):
            self._send(batch.lines, partial(_behind, orphan, batch))
            orphan.advance(batch.length)
            self._send_own()

    def _send(self, lines: Sequence[bytes], behind: Callable[[], Sequence[bytes]] = tuple) -> None:
        """Have ``lines`` taken, or put aside; ``behind``: what waits for them.

        Raises:
            LaterError: nobody says that they were taken.
        """
        if not lines:
            return
        try:
            self._offer(lines)
        except LaterError as error:
            if not self._is_stuck(lines[0], error.later):
                raise
            self._sift(lines, behind, error)
            for line in lines:
                self._found.pop(line, None)
        self._tries.pop(lines[0], None)

    def _offer(self, lines: Sequence[bytes]) -> None:
        match judge(self._posted(lines), len(lines), time.time()):
            case Taken(rejected):
                self._recovered()
                for index, complaints in rejected.items():
                    if index < len(lines):
                        self._reject(lines[index], complaints)
            case Apart() as apart:
                self._send_apart(lines, apart)
            case Later() as later:
                raise LaterError(later)

    def _posted(self, lines: Sequence[bytes]) -> Answer:
        seconds = ANSWER_SECONDS if self._deadline is None else max(0.05, self._deadline - time.monotonic())
        try:
            return self._wire.post(b"\n".join(lines) + b"\n", seconds)
        except (OSError, http.client.HTTPException) as error:
            raise LaterError(Later(f"the gateway cannot be reached: {_said(error)}")) from None

    def _send_apart(self, lines: Sequence[bytes], apart: Apart) -> None:
        """Send halves; of one that is too large alone, what happened to whom."""
        if len(lines) > 1:
            middle = len(lines) // 2
            self._offer(lines[:middle])
            self._offer(lines[middle:])
        elif slim := slimmed(lines[0]):
            self._offer([slim])
            log.warning("a transition is too large to be sent whole to %s: %s", self._url, apart.why)
        elif apart.is_gateways:
            self._reject(lines[0], [apart.why])
        else:
            raise LaterError(Later(apart.why, True, may_be_theirs=True))

    # what is in the way of others

    def _is_stuck(self, first: bytes, later: Later) -> bool:
        """Whether those that begin with ``first`` were tried often enough to look for the cause in them."""
        if not later.may_be_theirs:
            return False
        tries, taken = self._tries.get(first, (0, self._taken))
        self._tries[first] = tries + 1, taken
        return tries + 1 >= TRIES_TOGETHER

    def _sift(self, lines: Sequence[bytes], behind: Callable[[], Sequence[bytes]], error: LaterError) -> None:
        """Have those of ``lines`` taken that can be, and put aside the others, if any other at all is taken."""
        _, taken = self._tries[lines[0]]
        found = sift(lines, self._passes, lambda: self._taken > taken or self._passes(behind()[-1:]))
        if found is None or not self._are_proven(lines, {*found}):
            raise error
        for line in found:
            if (slim := slimmed(line)) and self._passes([slim]):
                log.warning("a transition could not be sent whole to %s: %s", self._url, error.later.why)
            else:
                self._reject(line, [f"it fails at the gateway, which takes others: {error.later.why}"])

    def _are_proven(self, lines: Sequence[bytes], failing: set[bytes]) -> bool:
        """Whether all of ``failing`` were found often enough: what fails now and then may do so by chance."""
        for line in lines:
            found = self._found.pop(line, 0)
            if line in failing:
                self._found[line] = found + 1
        return all(self._found[line] >= TIMES_FOUND for line in failing)

    def _passes(self, lines: Sequence[bytes]) -> bool:
        """Whether ``lines`` are taken, if that may depend on them; raises ``LaterError`` if it does not."""
        try:
            if lines:
                self._offer(lines)
        except LaterError as error:
            if not error.later.may_be_theirs:
                raise
            return False
        return bool(lines)

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
        self._taken += 1
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


def _behind(orphan: Segment, batch: Batch) -> Sequence[bytes]:
    """What waits in ``orphan`` for ``batch``."""
    following = orphan.batch(batch.length)
    return () if following is None else following.lines


def _said(error: Exception) -> str:
    """An error in words; of those of the library, no values that were sent."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
