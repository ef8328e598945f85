"""Known: the ids of what is kept, the latest of them, so that the store is not asked about each again and again."""

from __future__ import annotations

from collections import OrderedDict

MOST = 50_000
"""So many are remembered; of older ones, the store knows."""

FIRST = ""
"""Stands for the id of the state before a run's first."""


class Known:
    """Ids of events, each with that of the event before of the same run, if that was told."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._before: OrderedDict[str, str | None] = OrderedDict()

    def __contains__(self, id: object) -> bool:
        return id in self._before

    def __len__(self) -> int:
        return len(self._before)

    def add(self, id: str, before: str | None = None) -> None:
        """Remember ``id``, and which event it says it follows: :data:`FIRST` if none can be before it."""
        self._before[id] = before
        if len(self._before) > self._most:
            self._before.popitem(last=False)

    def is_whole(self, id: str) -> bool:
        """Whether ``id`` and every event before it, down to the run's first, is known."""
        at: str | None = id
        while at:
            at = self._before.get(at)
        return at == FIRST
