"""Follower: the thread in which a declared Prefect server is followed. It follows the configuration as well."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from datetime import UTC, datetime

from gateway.compile import PrefectServer
from gateway.delivery.notice import Notify
from gateway.errors import StoreClosedError
from gateway.sources.prefect.keeper import Sink
from gateway.sources.prefect.report import Report

log = logging.getLogger("gateway.prefect")

CLOSING_SECONDS = 5.0
PAUSE_SECONDS = 5.0
"""After an error that nobody foresaw."""


class Follower:
    """Follows the Prefect server of the configuration in force, if there is one.

    Args:
        sink: where transitions go; it is asked for the configuration.
        notify: told of what operators should hear of.
    """

    def __init__(self, sink: Sink, notify: Notify) -> None:
        self._sink, self._notify = sink, notify
        self._thread = threading.Thread(target=self._run, name="gateway-prefect", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: asyncio.Event | None = None
        self._closed = False
        self._report: Report | None = None

    def report(self) -> Report | None:
        """How it goes; ``None`` while no server is followed."""
        return self._report

    def follow(self) -> None:
        """Begin, or go on with what the configuration says now. Without a server to follow there is no thread."""
        if self._closed:
            return
        if self._thread.ident is not None:
            self._wake()
        elif self._sink.ruleset.prefect is not None:
            self._thread.start()

    def close(self) -> None:
        """Follow no more. What was not kept is read at the next start. Safe to call twice."""
        self._closed = True
        self._wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(CLOSING_SECONDS)

    def _wake(self) -> None:
        if self._loop is not None and self._changed is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._changed.set)

    def _run(self) -> None:
        try:
            asyncio.run(self._follow())
        except StoreClosedError:
            return
        except Exception:
            log.exception("Prefect is followed no more")
        finally:
            self._report = None

    async def _follow(self) -> None:
        self._loop, self._changed = asyncio.get_running_loop(), asyncio.Event()
        began_at, is_first = datetime.now(UTC), True
        while not self._closed:
            server = self._sink.ruleset.prefect
            if server is None:
                self._report = None
                await self._changed.wait()
                self._changed.clear()
            else:
                await self._follow_one(server, began_at, is_first)
                is_first = False

    async def _follow_one(self, server: PrefectServer, began_at: datetime, is_first: bool) -> None:
        """Follow ``server`` until the configuration names another, or says something else of it."""
        # late: what it imports is brought by an extra
        from gateway.sources.prefect.session import Session

        if self._report is None or self._report.server != server.shown:
            self._report = Report(server.shown)
        session = Session(server, self._sink, self._report, self._notify, began_at, is_first)
        following = asyncio.create_task(session.run())
        try:
            while not self._closed and self._sink.ruleset.prefect == server and not following.done():
                await self._wait_for_change(following)
        finally:
            following.cancel()
            (outcome,) = await asyncio.gather(following, return_exceptions=True)
            self._report.connected = False
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            await self._outlive(outcome)

    async def _wait_for_change(self, following: asyncio.Task[None]) -> None:
        assert self._changed is not None
        changed = asyncio.create_task(self._changed.wait())
        await asyncio.wait({changed, following}, return_when=asyncio.FIRST_COMPLETED)
        changed.cancel()
        self._changed.clear()

    async def _outlive(self, error: BaseException) -> None:
        """Go on after an error that nobody foresaw; end if the store is closed."""
        if _is_end(error):
            self._closed = True
            return
        log.error("following Prefect failed, and begins again", exc_info=error)
        await asyncio.sleep(PAUSE_SECONDS)


def _is_end(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_is_end(one) for one in error.exceptions)
    return isinstance(error, StoreClosedError)
