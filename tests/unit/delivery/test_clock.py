from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.delivery.clock import SYSTEM_CLOCK
from gateway.testing.clock import HandMovedClock


def test_the_system_clock_tells_utc_and_goes_on() -> None:
    first, second = SYSTEM_CLOCK.monotonic(), SYSTEM_CLOCK.monotonic()

    assert abs(SYSTEM_CLOCK.now() - datetime.now(UTC)) < timedelta(seconds=5)
    assert SYSTEM_CLOCK.now().utcoffset() == timedelta(0)
    assert second >= first


def test_a_hand_moved_clock_moves_only_by_hand() -> None:
    clock = HandMovedClock()
    start, began = clock.now(), clock.monotonic()

    clock.advance(timedelta(seconds=90))
    assert (clock.now() - start, clock.monotonic() - began) == (timedelta(seconds=90), 90.0)

    clock.set(start)
    assert (clock.now(), clock.monotonic() - began) == (start, 90.0)
