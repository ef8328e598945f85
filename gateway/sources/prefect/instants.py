"""Instants: when events occurred, and other times in the server's answers. Needs the standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any


def latest(events: Sequence[Any]) -> datetime | None:
    """When the last of ``events`` occurred, as far as they tell."""
    return max((at for event in events if (at := occurred_at(event)) is not None), default=None)


def occurred_at(event: Any) -> datetime | None:
    """When ``event`` occurred; ``None`` if it does not tell."""
    return instant(event.get("occurred")) if isinstance(event, dict) else None


def instant(text: object) -> datetime | None:
    """The time that ``text`` tells; ``None`` if it tells none."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found
