"""Ops: the gateway's own messages to its operators (``[gateway] ops``), through the same outbox as all others.

Never about the delivery of such a message, never through the channel in trouble, and about one
subject once in :data:`QUIET_SECONDS`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from gateway.compile import Ruleset
from gateway.delivery.clock import Clock
from gateway.delivery.notice import Notice
from gateway.delivery.notification import Notification
from gateway.states import Failed
from gateway.transition import Obj, Transition

log = logging.getLogger("gateway.ops")

HANDLER = "(gateway)"
"""Stands in the store where other deliveries have their handler's name."""

QUIET_SECONDS = 600.0

TITLES = {
    "reload_refused": "an edit of the configuration was refused",
    "channel_parked": "a channel is down",
    "dead_letter": "a message was given up",
}


class Ops:
    """Tells operators.

    Args:
        ruleset: the configuration in force, asked at every notice.
        send: keeps a transition with its notifications and has them sent; must not wait.
        clock: tells the time.
    """

    def __init__(
        self,
        ruleset: Callable[[], Ruleset],
        send: Callable[[Transition, list[Notification]], Future[Any]],
        clock: Clock,
    ) -> None:
        self._ruleset, self._send, self._clock = ruleset, send, clock
        self._lock = threading.Lock()
        self._told: dict[tuple[str, str], float] = {}
        self._untold: dict[tuple[str, str], int] = {}

    def notify(self, notice: Notice) -> None:
        """Tell whoever ``[gateway] ops`` names. Neither raises nor waits."""
        if notice.handler == HANDLER:
            return
        ruleset = self._ruleset()
        channels = [name for name in ruleset.ops if name != notice.channel]
        if not channels:
            return
        repeats = self._repeats(notice)
        if repeats is None:
            return
        try:
            told = self._send(_transition(ruleset, notice), [*_notifications(ruleset, notice, channels, repeats)])
            told.add_done_callback(lambda done: _say_if_lost(notice, done))
        except Exception:
            log.exception("operators could not be told", extra={"notice": notice.kind, "subject": notice.subject})

    def _repeats(self, notice: Notice) -> int | None:
        """How often the same was not told since it last was; ``None`` if it is not to be told now either."""
        key, now = (notice.kind, notice.subject), self._clock.monotonic()
        with self._lock:
            if now - self._told.get(key, -QUIET_SECONDS) < QUIET_SECONDS:
                self._untold[key] = self._untold.get(key, 0) + 1
                return None
            self._told[key] = now
            return self._untold.pop(key, 0)


def _say_if_lost(notice: Notice, told: Future[object]) -> None:
    if (error := told.exception()) is not None:
        about = {"notice": notice.kind, "subject": notice.subject, "error": str(error)}
        log.error("operators could not be told", extra=about)


def _transition(ruleset: Ruleset, notice: Notice) -> Transition:
    name = ruleset.config.gateway.name
    return Transition.of(Obj("flow", name), None, Failed(notice.text, name=notice.kind), source="gateway")


def _notifications(ruleset: Ruleset, notice: Notice, channels: Iterable[str], repeats: int) -> Iterable[Notification]:
    more = f"\n\n(And {repeats} more of the kind since this was last told.)" if repeats else ""
    title = f"{ruleset.config.gateway.name}: {TITLES[notice.kind]}"
    for channel in channels:
        yield Notification(HANDLER, channel, notice.text + more, title, severity="failure")
