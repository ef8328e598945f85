"""From what a disk has left to what follows from it."""

from __future__ import annotations

import pytest

from gateway.store.room import BALLAST, HOLD_SECONDS, LOOK_EVERY, MEBIBYTE, Gauge, Measured, Room, ballast_on

LARGE = 100_000 * MEBIBYTE
SMALL = 64 * MEBIBYTE


def room(free: int, reusable: int = 0, missing: int = 0, total: int = LARGE, full: bool = False) -> Room:
    """A room; sizes in MiB."""
    return Room(free * MEBIBYTE, 0, reusable * MEBIBYTE, missing * MEBIBYTE, total, full)


@pytest.mark.parametrize(
    ("room", "nearly_full", "scarce", "refuses"),
    [
        (room(5000), False, False, False),
        (room(128), False, False, False),
        (room(127), True, False, False),
        (room(32), True, False, False),
        (room(31), True, True, False),
        (room(8), True, True, False),
        (room(7), True, True, True),
        (room(0), True, True, True),
        (room(0, reusable=200), False, False, False),
        (room(0, reusable=20), True, True, False),
        (room(140, missing=16), True, False, False),
        (room(20, missing=16), True, True, True),
        (room(5, missing=16), True, True, True),
        (room(30, total=SMALL), False, False, False),
        (room(20, total=SMALL), True, False, False),
        (room(15, total=SMALL), True, True, False),
        (room(7, total=SMALL), True, True, True),
        (room(5000, full=True), True, True, True),
        (room(5000, reusable=40, full=True), True, False, True),
        (Room(), False, False, False),
        (Room(full=True), True, False, True),
    ],
)
def test_what_follows_from_how_much_is_left(room: Room, nearly_full: bool, scarce: bool, refuses: bool) -> None:
    assert (room.is_nearly_full, room.is_scarce, room.refuses) == (nearly_full, scarce, refuses)


@pytest.mark.parametrize(
    ("room", "takes"),
    [
        (room(24, missing=16), True),
        (room(23, missing=16), False),
        (room(23, missing=16, reusable=99), False),
        (room(24, missing=0), False),
        (room(99, missing=16, full=True), False),
        (Room(), False),
    ],
)
def test_the_ballast_is_made_whole_when_enough_else_is_left(room: Room, takes: bool) -> None:
    assert room.takes_ballast == takes


@pytest.mark.parametrize(("total", "ballast"), [(LARGE, BALLAST), (SMALL, BALLAST), (40 * MEBIBYTE, 10 * MEBIBYTE)])
def test_the_ballast_of_a_small_disk_is_small(total: int, ballast: int) -> None:
    assert ballast_on(total) == ballast


class Watched:
    """A disk that counts how often it is looked at, and a clock that stands still."""

    def __init__(self) -> None:
        self.looks = 0
        self.time = 100.0

    def measure(self) -> Measured:
        self.looks += 1
        return Measured(total=LARGE, free=self.looks, size=7, reusable=3, ballast=BALLAST - 5)

    def gauge(self) -> Gauge:
        return Gauge(self.measure, lambda: self.time)


def test_the_disk_is_not_looked_at_more_often_than_every_so_often() -> None:
    disk = Watched()
    gauge = disk.gauge()

    assert {gauge.room().free for _ in range(100)} == {1}
    disk.time += 2 * LOOK_EVERY
    assert gauge.room() == Room(free=2, size=7, reusable=3, missing=5, total=LARGE)


def test_after_something_was_done_about_the_room_it_is_looked_at_anew() -> None:
    gauge = Watched().gauge()

    assert gauge.room().free == 1
    gauge.changed()
    assert gauge.room().free == 2


def test_a_refused_change_counts_for_a_while() -> None:
    disk = Watched()
    gauge = disk.gauge()
    assert not gauge.room().full

    gauge.refused()
    assert gauge.room().full

    disk.time += HOLD_SECONDS - 0.01
    assert gauge.room().full
    disk.time += 2 * LOOK_EVERY
    assert not gauge.room().full


def test_of_a_server_it_is_known_only_that_it_refused() -> None:
    gauge = Gauge(None)
    assert gauge.room() == Room()

    gauge.refused()

    assert gauge.room() == Room(full=True)
