"""Ops: the gateway's own messages to its operators (``[gateway] ops``), through the same outbox as all others.

Never about the delivery of such a message, never through the channel in trouble, and about one
subject once in :data:`QUIET_SECONDS`. Several gateways on one store tell it once: the transition
they make of it has the same id.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from datetime import datetime
from typing import Any

from gateway.compile import Ruleset
from gateway.delivery.clock import Clock
from gateway.delivery.notice import ENDS, HANDLER, Notice
from gateway.delivery.notification import Notification
from gateway.delivery.observers import Noticed, Observers
from gateway.states import Failed, Success
from gateway.transition import Obj, Transition

log = logging.getLogger("gateway.ops")

QUIET_SECONDS = 600.0

TITLES = {
    "reload_refused": "an edit of the configuration was refused",
    "channel_parked": "a channel is down",
    "channel_open": "a channel is up again",
    "dead_letter": "a message was given up",
    "plugin_stuck": "a channel hangs",
    "overdue": "messages are late",
    "store_nearly_full": "the store is nearly full",
    "source_away": "a source cannot be read",
    "source_back": "a source can be read again",
    "source_left_out": "a part of what happened is not told",
}


class Ops:
    """Tells operators.

    Args:
        ruleset: the configuration in force, asked at every notice.
        send: keeps a transition with its notifications and has them sent; must not wait.
        clock: tells the time.
        origin: the store's own name, the same for all gateways on it.
        observers: told of every notice.
    """

    def __init__(
        self,
        ruleset: Callable[[], Ruleset],
        send: Callable[[Transition, list[Notification]], Future[Any]],
        clock: Clock,
        origin: Callable[[], str],
        observers: Observers,
    ) -> None:
        self._ruleset, self._send, self._clock, self._origin = ruleset, send, clock, origin
        self._observers = observers
        self._lock = threading.Lock()
        self._told: dict[tuple[str, str], float] = {}
        self._untold: dict[tuple[str, str], int] = {}
        self._down: set[tuple[str, str]] = set()

    def notify(self, notice: Notice) -> None:
        """Tell whoever ``[gateway] ops`` names. Neither raises nor waits."""
        if notice.handler == HANDLER:
            return
        told = self._told_now(notice)
        if self._observers:
            self._observers.tell(Noticed(notice.kind, told))

    def _told_now(self, notice: Notice) -> bool:
        ruleset = self._ruleset()
        channels = [name for name in ruleset.ops if name != notice.channel]
        if not channels:
            return False
        repeats = self._repeats(notice)
        if repeats is None:
            return False
        try:
            transition = _transition(ruleset, notice, _id(self._origin(), notice, self._clock.now()))
            told = self._send(transition, [*_notifications(ruleset, notice, channels, repeats)])
            told.add_done_callback(lambda done: _say_if_lost(notice, done))
        except Exception:
            log.exception("operators could not be told", extra={"notice": notice.kind, "subject": notice.subject})
            return False
        return True

    def _repeats(self, notice: Notice) -> int | None:
        """How often the same was not told since it last was; ``None`` if it is not to be told now either."""
        key, now = (notice.kind, notice.subject), self._clock.monotonic()
        with self._lock:
            if notice.is_good:  # to those alone who heard of the trouble
                return 0 if self._has_ended(ENDS[notice.kind], notice.subject) else None
            if now - self._told.get(key, -QUIET_SECONDS) < QUIET_SECONDS:
                self._untold[key] = self._untold.get(key, 0) + 1
                return None
            self._told[key] = now
            if notice.kind in ENDS.values():
                self._down.add((notice.kind, notice.subject))
            return self._untold.pop(key, 0)

    def _has_ended(self, kind: str, subject: str) -> bool:
        was_down = (kind, subject) in self._down
        self._down.discard((kind, subject))
        return was_down


def _say_if_lost(notice: Notice, told: Future[object]) -> None:
    if (error := told.exception()) is not None:
        about = {"notice": notice.kind, "subject": notice.subject, "error": str(error)}
        log.error("operators could not be told", extra=about)


def _id(origin: str, notice: Notice, now: datetime) -> str:
    """The same for the same notice of all gateways on a store within a stretch of :data:`QUIET_SECONDS`."""
    subject = hashlib.sha256(f"{notice.kind}\0{notice.subject}".encode("utf-8", "replace")).hexdigest()[:16]
    return f"gateway-{origin}-{subject}-{now.timestamp() // QUIET_SECONDS:.0f}"


def _transition(ruleset: Ruleset, notice: Notice, id: str) -> Transition:
    state = (Success if notice.is_good else Failed)(notice.text, name=notice.kind)
    return Transition.of(Obj("flow", ruleset.config.gateway.name), None, state, source="gateway", id=id)


def _notifications(ruleset: Ruleset, notice: Notice, channels: Iterable[str], repeats: int) -> Iterable[Notification]:
    more = f"\n\n(And {repeats} more of the kind since this was last told.)" if repeats else ""
    title = f"{ruleset.config.gateway.name}: {TITLES[notice.kind]}"
    for channel in channels:
        yield Notification(
            HANDLER, channel, notice.text + more, title, severity="success" if notice.is_good else "failure"
        )
