"""Instants as the store keeps them: whole milliseconds since 1970, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_milliseconds(instant: datetime) -> int:
    """``instant`` (UTC-aware) in milliseconds, rounded down."""
    return (instant - EPOCH) // _MILLISECOND


def to_instant(milliseconds: int) -> datetime:
    """The UTC-aware datetime of ``milliseconds``."""
    return EPOCH + milliseconds * _MILLISECOND
