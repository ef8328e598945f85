"""The door: where clients connect, and who of them may ask.

It is opened before anything else: a port in use is told before the store is touched, and who comes early waits.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from gateway.config.listen import Listen
from gateway.config.loader import Loaded
from gateway.config.size import Size
from gateway.errors import ListenError
from gateway.server.access import Access, declared_access

BACKLOG = 1024
"""Connections that wait to be accepted; those made before the store is open wait here too."""


@dataclass(frozen=True, slots=True)
class Door:
    """An open door.

    Attributes:
        listener: a socket that listens.
        access: who may ask.
        max_body: the largest body taken, in bytes.
    """

    listener: socket.socket
    access: Access
    max_body: Size

    @property
    def url(self) -> str:
        """The address by which a client on this machine comes to it."""
        host, port = self.listener.getsockname()[:2]
        return f"http://{Listen(host, port)}"

    def close(self) -> None:
        """Take no more connections. Safe to call twice."""
        self.listener.close()


def open_door(loaded: Loaded) -> Door:
    """Listen where a configuration says. Who connects waits until a server answers.

    Raises:
        ConfigError: the token or the key of signatures cannot be had.
        ListenError: the host is unknown, the port is in use or not allowed.
    """
    declared = loaded.sound.server
    access = declared_access(loaded)
    return Door(_listener(declared.listen), access, declared.max_body)


def _listener(listen: Listen) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return _listening(socket.socket(family, kind, protocol), address)
    except OSError as error:
        hint = "; another [server] listen, or enabled = false, lets it start"
        raise ListenError(f"cannot listen on {listen}: {_told(error)}{hint}") from None


def _listening(listener: socket.socket, address: tuple[object, ...]) -> socket.socket:
    try:
        if os.name == "posix":  # elsewhere it would let two servers have the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _told(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    return (error.strerror or str(error)).lower()
