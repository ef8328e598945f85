"""Contact: whether a server answers, and what is said when it does not, and when it does again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from gateway.config.duration import format_roughly
from gateway.delivery.notice import Notice, Notify
from gateway.sources.prefect.mapping import SOURCE

log = logging.getLogger("gateway.prefect")

AWAY = timedelta(minutes=3)
"""Operators hear of a server that has not answered for so long."""


class Contact:
    """The contact with one server.

    Args:
        server: its address, as it may be shown.
        notify: told of what operators should hear of.
        monotonic: tells the time.
    """

    def __init__(self, server: str, notify: Notify, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._server, self._notify, self._monotonic = server, notify, monotonic
        self._made_at = monotonic()
        self._trouble = ""
        self._is_away = False

    @property
    def has_trouble(self) -> bool:
        """Whether the server could not be read when that was last tried."""
        return bool(self._trouble)

    def made(self) -> bool:
        """The server has answered; whether it did not before."""
        was_away, had_trouble = self._is_away, self.has_trouble
        self._made_at, self._trouble, self._is_away = self._monotonic(), "", False
        if had_trouble:
            log.warning("Prefect can be read again", extra={"server": self._server})
        if was_away:
            text = f"The Prefect server at {self._server} answers again. What happened meanwhile is read now."
            self._notify(Notice("source_back", SOURCE, text))
        return had_trouble

    def failed(self, error: Exception) -> None:
        """The server could not be read. Logs a change, not every try; operators are told once it has lasted."""
        trouble = str(error)
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("Prefect cannot be read now; it is tried again", extra={"error": trouble})
        away = timedelta(seconds=self._monotonic() - self._made_at)
        if away >= AWAY and not self._is_away:
            self._is_away = True
            self._notify(Notice("source_away", SOURCE, f"Prefect was not read for {format_roughly(away)}: {trouble}"))
