"""The database's clock, read now and then and carried on in between."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from gateway.store.clock import DatabaseClock, Reading, steady
from gateway.store.instants import EPOCH


def reading(ahead: float, *, took: float = 0.002, ago: float = 0.0) -> Reading:
    """A reading made ``ago`` seconds before now, of a clock that is ``ahead`` of the steady one."""
    after = steady() - ago
    return Reading(after - took / 2 + ahead, after - took, after)


def ahead(clock: DatabaseClock) -> float:
    return (clock.now() - EPOCH) / timedelta(seconds=1) - steady()


def test_the_time_goes_on_from_the_last_reading_whatever_the_hosts_clock_says() -> None:
    clock = DatabaseClock()
    clock.saw(reading(5_000.0, ago=60))

    assert ahead(clock) == pytest.approx(5_000.0, abs=0.01)


def test_a_reading_that_took_long_does_not_replace_a_better_one() -> None:
    clock = DatabaseClock()
    clock.saw(reading(5_000.0, took=0.001))
    clock.saw(reading(5_000.4, took=1.0))

    assert ahead(clock) == pytest.approx(5_000.0, abs=0.01)


def test_a_good_reading_grows_old() -> None:
    clock = DatabaseClock()
    clock.saw(reading(5_000.0, took=0.001, ago=3_600))
    clock.saw(reading(5_000.2, took=0.01))

    assert ahead(clock) == pytest.approx(5_000.2, abs=0.01)


def test_a_clock_that_was_set_is_followed_at_once_and_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    clock = DatabaseClock()
    clock.saw(reading(5_000.0, took=0.001))
    clock.saw(reading(1_400.0, took=0.5))

    assert ahead(clock) == pytest.approx(1_400.0, abs=0.01)
    assert "the database's clock was set" in caplog.text
