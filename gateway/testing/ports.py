"""Ports: one that nobody listens on."""

from __future__ import annotations

import socket


def free_port() -> int:
    """A port on loopback that was free a moment ago, for servers that cannot choose one themselves and tell."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
