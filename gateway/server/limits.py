"""Limits: what one client, and all of them together, may cost. Not configurable, save for tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much, and how long.

    Attributes:
        head_bytes: request line and headers together
        headers: headers of one request
        connections: connections at one time
        head_seconds: until the head of a request has arrived
        body_seconds: until its body has
        linger_seconds: for the rest of a body that was refused; a client that still sends would not see its answer if
            the connection were closed at once
        unread_seconds: until a client reads on in its answer
        idle_seconds: until a connection without requests is closed
        commit_seconds: until a client is told that the store is slow; what came of its request is learnt by sending it
            again
        bytes_on_their_way: all bodies together, from their first byte to the commit
        transitions_on_their_way: transitions read and not yet committed
    """

    head_bytes: int = 64 * 1024
    headers: int = 100
    connections: int = 512
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    linger_seconds: float = 2.0
    unread_seconds: float = 30.0
    idle_seconds: int = 75
    commit_seconds: float = 30.0
    bytes_on_their_way: int = 32 * 1024 * 1024
    transitions_on_their_way: int = 30_000


LIMITS = Limits()
