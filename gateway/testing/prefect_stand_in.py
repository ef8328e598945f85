"""PrefectStandIn: what a Prefect 3 server says, on loopback, and what a real one cannot be made to say on demand.

It keeps events as the real one does, gives them page by page and over a stream, and misbehaves as told.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import datetime
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

Json = dict[str, Any]


class PrefectStandIn:
    """A server that is told what it has.

    Attributes:
        events: what its history tells; add through :meth:`add`.
        status: what it answers every question with, if not 200.
        broken: kinds of questions, such as ``"flow_runs"``, that it answers with ``broken_status``.
        hangs: whether it does not answer at all.
        csrf_token: what every POST must carry, if anything.
        host: the host that it says its next pages are on; its own unless given.
        streams: whether it has a stream.
        runs: flow runs by id.
        logs: the lines of all logs.
        asked: method and path of every question.
    """

    def __init__(self) -> None:
        self.events: list[Json] = []
        self.status, self.hangs, self.streams = 200, False, True
        self.broken: set[str] = set()
        self.broken_status = 503
        self.csrf_token = self.host = ""
        self.runs: dict[str, Json] = {}
        self.logs: list[Json] = []
        self.asked: list[tuple[str, str]] = []
        self._listeners: set[asyncio.Queue[str]] = set()
        self._loop = asyncio.new_event_loop()
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._application(), host="127.0.0.1", port=0, log_config=None, ws="websockets-sansio", lifespan="off"
            )
        )
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def api(self) -> str:
        """The address of its API."""
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/api"

    @property
    def listeners(self) -> int:
        """How many listen to its stream."""
        return len(self._listeners)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(5)

    def add(self, *events: Json, streamed: bool = False) -> None:
        """Have ``events`` in the history, and tell them on the stream too if wanted."""
        self.events += events
        if streamed:
            self.stream(*(json.dumps({"type": "event", "event": event}) for event in events))

    def stream(self, *messages: str) -> None:
        """Send ``messages`` to all who listen."""
        for listener in list(self._listeners):
            for message in messages:
                self._loop.call_soon_threadsafe(listener.put_nowait, message)

    # inside

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        with closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        await self._server.serve()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/events/filter", self._filter, methods=["POST"]),
                Route("/api/events/filter/next", self._next),
                Route("/api/csrf-token", self._csrf),
                Route("/api/logs/filter", self._logs, methods=["POST"]),
                Route("/api/{kind}/filter", self._nothing, methods=["POST"]),
                Route("/api/{kind}_states/", self._nothing),
                Route("/api/flow_runs/{id}", self._run_of),
                WebSocketRoute("/api/events/out", self._out),
            ]
        )

    async def _misbehaves(self, request: Request) -> Response | None:
        self.asked.append((request.method, request.url.path))
        if self.hangs:
            await asyncio.sleep(3600)
        if any(request.url.path.startswith(f"/api/{kind}") for kind in self.broken):
            return JSONResponse({"detail": "broken"}, self.broken_status)
        if self.status != 200:
            return JSONResponse({"detail": "as told"}, self.status)
        wanted = self.csrf_token
        if request.method == "POST" and wanted and request.headers.get("Prefect-Csrf-Token") != wanted:
            return JSONResponse({"detail": "Invalid CSRF token or client identifier."}, 403)
        return None

    async def _filter(self, request: Request) -> Response:
        body = json.loads(await request.body())
        return await self._misbehaves(request) or self._page(request, body["filter"], body["limit"], 0)

    async def _next(self, request: Request) -> Response:
        token = json.loads(base64.b64decode(request.query_params["page-token"]))
        return await self._misbehaves(request) or self._page(request, token["filter"], token["limit"], token["offset"])

    def _page(self, request: Request, filter: Json, limit: int, offset: int) -> Response:
        found = [event for event in self.events if _passes(event, filter)]
        found.sort(key=lambda event: str(event.get("occurred")), reverse=filter.get("order") == "DESC")
        token = base64.b64encode(json.dumps({"filter": filter, "limit": limit, "offset": offset + limit}).encode())
        host = self.host or str(request.base_url).rstrip("/")
        address = f"{host}/api/events/filter/next?page-token={token.decode()}"
        page = found[offset : offset + limit]
        more = offset + limit < len(found)
        return JSONResponse({"events": page, "total": len(found), "next_page": address if more else None})

    async def _csrf(self, request: Request) -> Response:
        self.asked.append((request.method, request.url.path))
        return JSONResponse({"token": self.csrf_token, "client": request.query_params["client"]})

    async def _logs(self, request: Request) -> Response:
        return await self._misbehaves(request) or JSONResponse(self.logs)

    async def _nothing(self, request: Request) -> Response:
        return await self._misbehaves(request) or JSONResponse([])

    async def _run_of(self, request: Request) -> Response:
        found = self.runs.get(request.path_params["id"])
        return await self._misbehaves(request) or JSONResponse(found, 200 if found else 404)

    async def _out(self, socket: WebSocket) -> None:
        if not self.streams:
            await socket.close(1013)
            return
        await socket.accept("prefect")
        await socket.receive_text()
        await socket.send_json({"type": "auth_success"})
        await socket.receive_text()
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.add(queue)
        telling = asyncio.create_task(self._tell(socket, queue))
        try:
            await socket.receive_text()
        except WebSocketDisconnect:
            return
        finally:
            self._listeners.discard(queue)
            telling.cancel()

    async def _tell(self, socket: WebSocket, queue: asyncio.Queue[str]) -> None:
        while True:
            await socket.send_text(await queue.get())


def _passes(event: Json, filter: Mapping[str, Any]) -> bool:
    occurred, names = filter["occurred"], filter.get("event", {})
    name, at = str(event.get("event")), str(event.get("occurred"))
    return (
        _instant(occurred["since"]) <= _instant(at) <= _instant(occurred["until"])
        and _begins(name, names.get("prefix"))
        and name not in names.get("exclude_name", ())
        and ("name" not in names or name in names["name"])
    )


def _begins(name: str, prefixes: Iterable[str] | None) -> bool:
    return prefixes is None or any(name.startswith(prefix) for prefix in prefixes)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
