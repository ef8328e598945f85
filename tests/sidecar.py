"""Sidecar: a real gateway with its server, on a port of its own, that can go away and come back to it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Self
from uuid import uuid4

from gateway.app import Gateway
from gateway.config import load, read_sources
from gateway.delivery.payload import decode
from gateway.server import Server, open_door
from gateway.testing.http_sink import Exchange, answer
from gateway.transition import Transition

HANDLER = '[[handler]]\nname = "failed"\nstate = "Failed"\nto = "box"\nmessage = "{{ state.message }}"\n'


def take_all(exchange: Exchange) -> None:
    """Of a sink: answer as a gateway that takes whatever it is sent."""
    count = len(exchange.received.body.splitlines())
    answer(202, f'{{"accepted":{count},"duplicates":0}}')(exchange)


class Sidecar:
    """A gateway in ``folder``, served from :meth:`start` to :meth:`stop`; in a ``with`` block it is served at once.

    Args:
        folder: for its configuration and its store.
        server: further lines of ``[server]``.
        handlers: its handlers; ``box`` is a channel that records.
    """

    def __init__(self, folder: Path, server: str = "", handlers: str = HANDLER) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._config = folder / "config"
        self._config.mkdir(parents=True)
        (self._config / "gateway.toml").write_text(
            f'{handlers}\n[store]\nurl = "sqlite:///{folder}/gateway.db"\n'
            f'[channel.box]\nurl = "record://{uuid4().hex}"\n[server]\nlisten = "127.0.0.1:{port}"\n{server}'
        )
        self._gateway: Gateway | None = None

    def start(self) -> None:
        """Serve."""
        door = open_door(load(read_sources(self._config)[0]))
        self._gateway = Gateway(self._config, watch=False, drain_seconds=2)
        self._server = Server(self._gateway, door).__enter__()

    def stop(self) -> None:
        """Go away. What was taken is on the disk."""
        if self._gateway is not None:
            self._server.__exit__(None, None, None)
            self._gateway.close()
        self._gateway = None

    def taken(self) -> list[Transition]:
        """What is on its disk, the oldest first."""
        assert self._gateway is not None
        rows = self._gateway.store.transitions(limit=10_000)
        return [decode(row.payload) for row in reversed(rows)]

    def messages(self) -> list[str]:
        """The new states' messages of what is on its disk."""
        return [str(transition.state.message) for transition in self.taken()]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
