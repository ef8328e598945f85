"""Rounds: a look at the store every half minute, for what operators should hear of and no event tells."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime

from gateway.compile import Ruleset
from gateway.delivery.clock import Clock
from gateway.delivery.notice import HANDLER, Notice, Notify, nearly_full, overdue
from gateway.errors import StoreClosedError, StoreError
from gateway.periodic import Periodic
from gateway.store.store import Store

log = logging.getLogger("gateway.ops")

EVERY_SECONDS = 30.0


class Rounds:
    """A thread that looks. Without operators to tell it does nothing.

    Args:
        ruleset: the configuration in force, asked at every look.
        store: what to look at.
        notify: told what was found.
        clock: tells the time.
    """

    def __init__(self, ruleset: Callable[[], Ruleset], store: Store, notify: Notify, clock: Clock) -> None:
        self._ruleset, self._store, self._notify, self._clock = ruleset, store, notify, clock
        self._looking = Periodic("gateway-rounds", self.look, lambda: EVERY_SECONDS)

    def follow(self) -> None:
        """Begin, if the configuration now names operators."""
        if self._ruleset().ops and not self._looking.is_started:
            self._looking.start()

    def close(self) -> None:
        """Look no more. Safe to call twice."""
        self._looking.close()

    def look(self) -> None:
        """Look once, and tell."""
        ruleset = self._ruleset()
        if not ruleset.ops:
            return
        try:
            for notice in findings(self._store, ruleset, self._clock.now()):
                self._notify(notice)
        except StoreClosedError:
            return
        except StoreError as error:
            log.warning("the store could not be looked at", extra={"error": str(error)})


def findings(store: Store, ruleset: Ruleset, now: datetime) -> Iterator[Notice]:
    """What operators should hear of how the store stands."""
    for late in store.overdue(now - ruleset.config.gateway.overdue, but=HANDLER):
        yield overdue(late.channel, late.count, now - late.oldest_at)
    room = store.room()
    if room.is_nearly_full:
        yield nearly_full(room)
