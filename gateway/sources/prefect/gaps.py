"""Gaps: events that others say they follow, and that never came."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

RunKind = Literal["flow_run", "task_run"]

MOST = 10_000

PATIENCE_SECONDS = 15.0
"""How long the sweep has to bring what the stream left out."""


@dataclass(frozen=True, slots=True)
class Gap:
    """An event that is missing: its id, whose it was, and since when it is missed, by a steady clock."""

    id: str
    kind: RunKind
    run_id: str
    missed_at: float


class Gaps:
    """The events that are missed."""

    def __init__(self) -> None:
        self._gaps: OrderedDict[str, Gap] = OrderedDict()

    def __len__(self) -> int:
        return len(self._gaps)

    def note(self, event: Mapping[str, Any], kind: RunKind, run_id: str, at: float) -> bool:
        """An event came; whether the one it follows did not."""
        self.came(str(event.get("id")))
        if not isinstance(before := event.get("follows"), str):
            return False
        self._gaps.setdefault(before, Gap(before, kind, run_id, at))
        if len(self._gaps) > MOST:
            self._gaps.popitem(last=False)
        return True

    def came(self, id: str) -> None:
        """An event came."""
        self._gaps.pop(id, None)

    def due(self, at: float) -> Iterator[Gap]:
        """Those that have been missed for too long. They are given up: told once, by whoever looks for them now."""
        while self._gaps:
            first = next(iter(self._gaps.values()))
            if at - first.missed_at < PATIENCE_SECONDS:
                return
            del self._gaps[first.id]
            yield first


def made_at(id: str) -> datetime | None:
    """When a state of that id was made: ids of version 7 tell that (RFC 9562). ``None`` if it is no such id."""
    digits = id.replace("-", "")
    if len(digits) != 32 or digits[12] != "7":
        return None
    try:
        return datetime.fromtimestamp(int(digits[:12], 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
