from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest


class HandClock:
    """A clock that stands still until something waits for a later time; keeps how long each wait was."""

    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.waits: list[timedelta] = []

    def now(self) -> datetime:
        return self.time

    def wait_until(self, time: datetime) -> None:
        if time > self.time:
            self.waits.append(time - self.time)
            self.time = time


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


class Watch:
    """A state handler that keeps its calls as text: ``"Pending > Running"`` and with messages."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, object, object]] = []

    def __call__(self, obj, old, new):
        self.calls.append((obj, old, new))

    @property
    def steps(self) -> list[str]:
        return [f"{old.name} > {new.name}" for _, old, new in self.calls]

    @property
    def texts(self) -> list[str]:
        return [f"{obj}: {old} to {new}" for obj, old, new in self.calls]

    @property
    def states(self) -> list[object]:
        return [new for _, _, new in self.calls]


@pytest.fixture
def watch() -> Watch:
    return Watch()
