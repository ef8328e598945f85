"""Heartbeat: calls ``[gateway] heartbeat`` while the gateway is well, so that somebody outside sees when it is not.

Only the watcher makes anything of it: a call that fails is logged once, counted, and changes nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.compile import Pulse
from gateway.delivery.observers import Beaten, Observers
from gateway.periodic import Periodic

if TYPE_CHECKING:
    from gateway.channels.transport import Transport

log = logging.getLogger("gateway.heartbeat")

LONGEST_CALL = 10.0
"""Seconds one call may take."""

NEVER = 86_400.0
"""Seconds between looks while there is nothing to call; a reload hurries."""


class Heartbeat:
    """A thread that calls.

    Args:
        pulse: whom to call and how often, asked at every beat.
        is_well: whether we are.
        observers: told of every beat that was due.
        transport: where connections come from; the process's own unless given.
    """

    def __init__(
        self,
        pulse: Callable[[], Pulse | None],
        is_well: Callable[[], bool],
        observers: Observers,
        transport: Transport | None = None,
    ) -> None:
        self._pulse, self._is_well, self._observers, self._transport = pulse, is_well, observers, transport
        self._trouble = ""
        self._calling = Periodic("gateway-heartbeat", self.beat, self._every)

    def follow(self) -> None:
        """Begin to call, or go on with what the configuration says now. Without an address there is no thread."""
        if self._calling.is_started:
            self._calling.hurry()
        elif self._pulse() is not None:
            self._calling.start()

    def close(self) -> None:
        """Call no more. Safe to call twice."""
        self._calling.close()

    def _every(self) -> float:
        pulse = self._pulse()
        return NEVER if pulse is None else pulse.every.total_seconds()

    def beat(self) -> None:
        """Call once if we are well. Never raises."""
        pulse = self._pulse()
        if pulse is None:
            return
        if not self._is_well():
            self._note("withheld")
            self._observers.tell(Beaten("withheld"))
            return
        trouble = self._call(pulse)
        self._note(trouble)
        self._observers.tell(Beaten("failed" if trouble else "sent"))

    def _call(self, pulse: Pulse) -> str:
        """What went wrong, ``""`` if nothing did. The text of an error is left out: it shows the address."""
        # late: requests and what comes with it cost 100 ms, and most gateways have no heartbeat
        from gateway.channels.attempt import Attempt, attempting
        from gateway.channels.overlay import cover
        from gateway.channels.transport import shared_transport

        cover()  # keeps the address out of other libraries' logs
        limit = min(LONGEST_CALL, pulse.every.total_seconds())
        transport = self._transport or shared_transport()
        try:
            with attempting(Attempt(time.monotonic() + limit, transport)):
                status = transport.request("GET", pulse.address, timeout=limit).status_code
        except Exception as error:
            return type(error).__name__
        return "" if 200 <= status < 300 else f"http_{status}"

    def _note(self, trouble: str) -> None:
        """Log a change, not every beat."""
        before, self._trouble = self._trouble, trouble
        if trouble == before:
            return
        if trouble == "withheld":
            log.error("the heartbeat is withheld: the gateway is not well")
        elif trouble:
            log.warning("the heartbeat could not be sent", extra={"reason": trouble})
        else:
            log.warning("the heartbeat is sent again")
