"""Room: how much may be on its way between the first byte of a request and its commit. More is refused, not kept."""

from __future__ import annotations

from gateway.server.answers import COME_AGAIN, RefusedError
from gateway.server.limits import LIMITS, Limits


class Room:
    """Counts what is on its way. To be used in the event loop only.

    Args:
        limits: say how much.

    What comes alone is let in however large it is; other limits bound it.
    """

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._most_bytes, self._most_transitions = limits.bytes_on_their_way, limits.transitions_on_their_way
        self.bytes = self.transitions = 0

    def take(self, bytes: int, transitions: int, mine: tuple[int, int]) -> None:
        """Make so much of the room taken; ``mine`` is what the same request has taken of it before.

        Raises:
            RefusedError: 429, there is no room at present.
        """
        others = self.bytes - mine[0], self.transitions - mine[1]
        if (others[0] and self.bytes + bytes > self._most_bytes) or (
            others[1] and self.transitions + transitions > self._most_transitions
        ):
            raise RefusedError(429, "more is on its way to the store than may be: send it again", COME_AGAIN)
        self.bytes += bytes
        self.transitions += transitions

    def give_back(self, bytes: int, transitions: int) -> None:
        """The opposite of :meth:`take`."""
        self.bytes -= bytes
        self.transitions -= transitions


class Share:
    """What one request has taken of the room."""

    __slots__ = ("_bytes", "_room", "_transitions")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._bytes = self._transitions = 0

    def take(self, bytes: int = 0, transitions: int = 0) -> None:
        """Take more; raises ``RefusedError`` if there is no room at present."""
        self._room.take(bytes, transitions, mine=(self._bytes, self._transitions))
        self._bytes += bytes
        self._transitions += transitions

    def give_back(self) -> None:
        """Give back all of it. Safe to call twice."""
        self._room.give_back(self._bytes, self._transitions)
        self._bytes = self._transitions = 0
