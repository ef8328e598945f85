from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import Gateway
from gateway.channels.transport import Transport
from gateway.config import load, read_sources
from gateway.server import Server, open_door
from gateway.server.limits import LIMITS, Limits

TOKEN = "a-token-that-nobody-knows-0123"
HANDLER = """
[[handler]]
name = "failed"
state = "Failed"
to = "box"
message = "{{ state.message }}"
"""


class Serving:
    """A gateway with its server, and a client that talks to it."""

    token = TOKEN

    def __init__(self, gateway: Gateway, server: Server, client: httpx.Client, folder: Path) -> None:
        self.gateway, self.server, self.client, self.folder = gateway, server, client, folder

    def post(self, event: Any, **named: Any) -> httpx.Response:
        return self.client.post("/api/v1/transitions", json=event, **named)

    def connect(self) -> socket.socket:
        """A bare connection to it."""
        url = httpx.URL(self.server.url)
        connection = socket.create_connection((url.host, url.port))
        connection.settimeout(20)
        return connection


@pytest.fixture
def event() -> Callable[..., dict[str, Any]]:
    """The JSON of a failed task: ``event(id="e-1")``; keys of the new state by ``state=``."""

    def made(state: dict[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
        return {
            "obj": {"kind": "task", "name": "load", "run_id": "r-1", "flow": {"name": "etl"}},
            "old_state": {"type": "Running"},
            "new_state": {"type": "Failed", "message": "the table is gone", **(state or {})},
            **keys,
        }

    return made


@pytest.fixture
def serve(write: Callable[..., Path]) -> Iterator[Callable[..., Serving]]:
    """Serve a gateway until the test ends: ``serve(token=True)``; ``server`` are further lines of its table."""
    with ExitStack() as stack:

        def serving(
            server: str = "",
            *,
            token: bool = False,
            handlers: str = HANDLER,
            channels: str = "",
            limits: Limits = LIMITS,
            transport: Transport | None = None,
            **headers: str,
        ) -> Serving:
            table = '[server]\nlisten = "127.0.0.1:0"\n' + (f'token = "{TOKEN}"\n' if token else "") + server
            folder = write(f"{handlers}\n{table}", channels)
            loaded = load(read_sources(folder)[0])
            assert not [problem for problem in loaded.problems if problem.severity == "error"], loaded.problems
            door = open_door(loaded)
            stack.callback(door.close)
            gateway = stack.enter_context(Gateway(folder, watch=False, drain_seconds=2, transport=transport))
            running = stack.enter_context(Server(gateway, door, limits=limits))
            if token:
                headers.setdefault("authorization", f"Bearer {TOKEN}")
            client = stack.enter_context(httpx.Client(base_url=running.url, headers=headers, timeout=20))
            return Serving(gateway, running, client, folder)

        yield serving
