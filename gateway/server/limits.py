"""Limits: what one client, and all of them together, may cost. Not configurable, save for tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much, and how long.

    Attributes:
        head_bytes: request line and headers together.
        headers: of one request.
        connections: at one time.
        head_seconds: until a request's head has arrived.
        body_seconds: until its body has.
        linger_seconds: how long the rest of a body is read, and thrown away, once it was refused: a client that
            still sends does not see its answer if the connection is closed at once.
        unread_seconds: until a client reads on in its answer.
        idle_seconds: until a connection without requests is closed.
        commit_seconds: how long a client waits for the commit. What comes of it after that is learnt by
            sending the same id again.
        bytes_on_their_way: of bodies, from their first byte to the commit.
        transitions_on_their_way: read and not yet committed.
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
