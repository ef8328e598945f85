from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from gateway.flows.clock import SystemClock


def test_now_is_now_and_aware():
    assert abs(SystemClock().now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_time_in_the_past_is_not_waited_for():
    clock = SystemClock()
    began = time.monotonic()

    clock.wait_until(clock.now() - timedelta(days=1))
    clock.wait_until(datetime.min.replace(tzinfo=UTC))

    assert time.monotonic() - began < 1


def test_a_time_to_come_is_waited_for():
    clock = SystemClock()
    due_at = clock.now() + timedelta(milliseconds=20)

    clock.wait_until(due_at)

    assert clock.now() >= due_at
