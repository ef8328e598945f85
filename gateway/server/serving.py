"""Serving: the server's thread and event loop, from the first request to the last answer."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Self

import uvicorn

from gateway.app import Gateway
from gateway.observe import Metrics
from gateway.server import forms
from gateway.server.api import api, metrics_route, standard_routes
from gateway.server.application import Application
from gateway.server.body import Bodies
from gateway.server.completions import Completions
from gateway.server.door import Door
from gateway.server.events import Events, Memory
from gateway.server.health import Health
from gateway.server.intake import Intake
from gateway.server.limits import LIMITS, Limits
from gateway.server.measures import Measures
from gateway.server.orders import Orders
from gateway.server.protocol import LimitedProtocol
from gateway.server.questions import Questions
from gateway.server.reads import Reads
from gateway.server.room import Room
from gateway.sources.runs import Runs

log = logging.getLogger("gateway.server")

STOP_SECONDS = 5.0
"""How long the end waits for answers in progress, unless told otherwise."""


class Server:
    """Serves one gateway by HTTP, in a thread of its own.

    Args:
        gateway: whose it is; open longer than the server.
        door: where clients connect, and who may ask; closed by :meth:`stop`.
        on_failure: called if the thread ends without having been told to.
        limits: what clients may cost.

    Attributes:
        url: how a client on this machine comes to it.
        failed: whether the thread has ended without having been told to.
    """

    def __init__(
        self,
        gateway: Gateway,
        door: Door,
        on_failure: Callable[[], object] = lambda: None,
        limits: Limits = LIMITS,
    ) -> None:
        self.url = door.url
        self._gateway, self._door, self._on_failure, self._limits = gateway, door, on_failure, limits
        self.failed = self._stopping = False
        self._stop_by = 0.0
        self._serving = threading.Event()
        self._uvicorn: _Uvicorn | None = None
        self._thread = threading.Thread(target=self._run, name="gateway-http", daemon=True)

    def start(self) -> Self:
        """Begin to answer; returns once it does."""
        self._thread.start()
        self._serving.wait()
        return self

    def stop(self, grace: float = STOP_SECONDS) -> None:
        """Take no more requests, finish those in progress within ``grace`` seconds, end. Safe to call twice."""
        self._stop_by = time.monotonic() + grace
        self._stopping = True
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True
        self._thread.join(grace + STOP_SECONDS)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._serve())
        except BaseException:
            log.exception("the HTTP server has failed")
        finally:
            self._door.close()
            self._serving.set()
            if not self._stopping:
                self.failed = True
                self._on_failure()

    async def _serve(self) -> None:
        with ExitStack() as stack:
            completions = Completions(asyncio.get_running_loop(), self._limits.commit_seconds)
            application = self._application(stack, completions)
            self._uvicorn = _Uvicorn(
                application, self._limits, self._serving.set, completions.expire, lambda: self._stop_by
            )
            if not self._stopping:
                await self._uvicorn.serve([self._door.listener])

    def _application(self, stack: ExitStack, completions: Completions) -> Application:
        gateway, access, limit = self._gateway, self._door.access, self._door.max_body
        room, questions, measures = Room(self._limits), Questions(), Measures()
        metrics = Metrics(gateway, [measures])
        intake = Intake(gateway, access, limit, room, completions, measures)
        memory = Memory(Runs(gateway.store.runs, alone=not gateway.store.shares_rates), intake)
        standards = standard_routes(
            Events(intake, forms.lineage(), memory),
            Events(intake, forms.cloudevents_over_http(lambda: gateway.ruleset), memory),
        )
        stack.callback(intake.close)
        stack.callback(questions.close)
        bodies = Bodies(limit, room)
        health = Health(gateway.store, lambda: self._stopping)
        reads, orders = Reads(gateway, questions, bodies), Orders(gateway, questions, bodies)
        routes = api(access, intake, reads, orders, health, *standards, metrics_route(metrics, questions))
        return Application(routes, access, measures)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop
    return uvloop.new_event_loop


class _Uvicorn(uvicorn.Server):
    """uvicorn's server: told by us when to end, and cutting off who is too slow."""

    def __init__(
        self,
        application: Application,
        limits: Limits,
        serving: Callable[[], object],
        every_second: Callable[[], object],
        stop_by: Callable[[], float],
    ) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=partial(LimitedProtocol, limits=limits),  # type: ignore[arg-type] # called, and no more
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=limits.idle_seconds,
            )
        )
        self._serving, self._every_second, self._stop_by = serving, every_second, stop_by

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; whether to end."""
        self._serving()
        if counter % 10 == 0:
            self._every_second()
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, LimitedProtocol):
                    connection.cut_off_if_late(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, let answers in progress end in time, close."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections and time.monotonic() < self._stop_by():
            await asyncio.sleep(0.01)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
