"""The sweeper: what it decides to let go of, and when."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta

import pytest

from gateway.delivery.sweeper import (
    DISTRUST_SECONDS,
    KEPT_EMPTY,
    LOOK_EVERY,
    LOOK_EVERY_WHEN_NEARLY_FULL,
    Sweeper,
    expired_at,
    is_any,
    to_reclaim,
)
from gateway.errors import StoreClosedError, StoreError, StoreFullError
from gateway.store.instants import EPOCH
from gateway.store.retention import Expired, Forgotten, Retention
from gateway.store.room import BALLAST, MEBIBYTE, Room
from gateway.store.rows import Oldest
from gateway.testing.builders import MOMENT
from gateway.testing.clock import HandMovedClock

DAY = timedelta(days=1)
MONTH = Retention(ended=30 * DAY, unmatched=DAY)
EVER = datetime.max.replace(tzinfo=UTC)
PLENTY = Room(free=10**12, size=10**9, total=10**13)
SCARCE = Room(free=20 * MEBIBYTE, size=10**9, total=10**13)


@pytest.mark.parametrize(
    ("retention", "room", "expired"),
    [
        (MONTH, PLENTY, Expired(MOMENT - 30 * DAY, MOMENT - DAY)),
        (Retention(DAY, timedelta(0)), PLENTY, Expired(MOMENT - DAY, MOMENT)),
        (Retention(timedelta(days=999_999), DAY), PLENTY, Expired(EPOCH, MOMENT - DAY)),
        (MONTH, SCARCE, Expired(MOMENT - 30 * DAY, EVER)),
        (None, PLENTY, Expired(None, None)),
        (None, SCARCE, Expired(None, EVER)),
    ],
    ids=["both", "unmatched not kept", "for ever", "scarce", "clock not trusted", "scarce and not trusted"],
)
def test_what_has_expired(retention: Retention | None, room: Room, expired: Expired) -> None:
    assert expired_at(MOMENT, retention, room) == expired


@pytest.mark.parametrize(
    ("oldest", "expired", "found"),
    [
        (Oldest(MOMENT, MOMENT), Expired(MOMENT, MOMENT), False),
        (Oldest(MOMENT, None), Expired(MOMENT + DAY, MOMENT + DAY), True),
        (Oldest(None, MOMENT), Expired(MOMENT + DAY, MOMENT + DAY), True),
        (Oldest(MOMENT, MOMENT), Expired(None, None), False),
        (Oldest(None, None), Expired(MOMENT, EVER), False),
    ],
)
def test_whether_anything_has_expired(oldest: Oldest, expired: Expired, found: bool) -> None:
    assert is_any(oldest, expired) == found


@pytest.mark.parametrize(
    ("room", "size"),
    [
        (Room(free=10**12, size=0, reusable=KEPT_EMPTY, total=10**13), 0),
        (Room(free=10**12, size=0, reusable=KEPT_EMPTY + 5, total=10**13), 5),
        (Room(free=10**12, size=8 * KEPT_EMPTY, reusable=2 * KEPT_EMPTY, total=10**13), 0),
        (Room(free=10**12, size=8 * KEPT_EMPTY, reusable=3 * KEPT_EMPTY, total=10**13), KEPT_EMPTY),
        (Room(free=MEBIBYTE, size=0, reusable=99 * MEBIBYTE, missing=BALLAST, total=10**13), 23 * MEBIBYTE),
        (Room(free=MEBIBYTE, size=0, reusable=9 * MEBIBYTE, missing=BALLAST, total=10**13), 9 * MEBIBYTE),
        (Room(free=10**12, size=0, reusable=9 * MEBIBYTE, missing=BALLAST, total=10**13), 0),
        (Room(free=0, size=0, reusable=9 * MEBIBYTE, total=10**13), 0),
        (Room(), 0),
    ],
    ids=[
        "enough",
        "a bit much",
        "a quarter",
        "more than a quarter",
        "ballast wanted",
        "not enough for it",
        "enough free for it",
        "others filled the disk",
        "a server",
    ],
)
def test_how_much_the_disk_has_back(room: Room, size: int) -> None:
    assert to_reclaim(room) == size


def done(result: object) -> Future[object]:
    future: Future[object] = Future()
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
    return future


class PaperStore:
    """A store of which only the sizes exist."""

    def __init__(self, room: Room = PLENTY) -> None:
        self.now = room
        self.rows = 500
        self.wishes: list[Expired] = []
        self.reclaimed: list[int] = []
        self.restocked = 0
        self.refusal: Exception | None = None
        self.last_at: datetime | None = None

    def newest(self) -> datetime | None:
        return self.last_at

    def room(self) -> Room:
        return self.now

    def oldest(self) -> Oldest:
        if isinstance(self.refusal, StoreClosedError):
            raise self.refusal
        return Oldest(MOMENT if self.rows else None, None)

    def forget(self, expired: Expired) -> Future[object]:
        if self.refusal is not None:
            return done(self.refusal)
        self.wishes.append(expired)
        found = min(self.rows, expired.limit)
        self.rows -= found
        return done(Forgotten(deliveries=found))

    def reclaim(self, size: int) -> Future[object]:
        self.reclaimed.append(size)
        return done(self.now.reusable - size)

    def restock(self) -> bool:
        self.restocked += 1
        return True


@pytest.fixture
def clock() -> HandMovedClock:
    return HandMovedClock(MOMENT + 31 * DAY)


@pytest.fixture
def store() -> Iterator[PaperStore]:
    return PaperStore()


def sweeper(store: PaperStore, clock: HandMovedClock, retention: Retention = MONTH) -> Sweeper:
    return Sweeper(store, lambda: retention, clock)  # type: ignore[arg-type] # of a store it needs these alone


def test_it_goes_on_until_nothing_expired_is_left(store: PaperStore, clock: HandMovedClock) -> None:
    one = sweeper(store, clock)

    assert [one.step() < LOOK_EVERY for _ in range(4)] == [True, True, True, False]
    assert store.rows == 0
    assert {wish.ended_before for wish in store.wishes} == {MOMENT + DAY}


def test_nothing_is_asked_to_go_before_its_time(store: PaperStore) -> None:
    one = sweeper(store, HandMovedClock(MOMENT + 30 * DAY))

    assert one.step() == LOOK_EVERY
    assert not store.wishes


def test_how_long_rows_are_kept_may_change_while_it_runs(store: PaperStore, clock: HandMovedClock) -> None:
    retention = Retention(90 * DAY, DAY)
    one = Sweeper(store, lambda: retention, clock)  # type: ignore[arg-type]
    one.step()
    assert store.rows == 500

    retention = MONTH
    one.step()

    assert store.rows == 300


def test_it_rests_longer_than_it_works(store: PaperStore, clock: HandMovedClock) -> None:
    store.restock = lambda: clock.advance(timedelta(seconds=0.5)) or True  # type: ignore[assignment]
    store.now = Room(free=10**12, size=0, missing=5, total=10**13)

    assert sweeper(store, clock).step() == pytest.approx(2.0)


def test_when_room_is_scarce_it_does_not_rest_and_when_nothing_is_left_it_looks_often(clock: HandMovedClock) -> None:
    store = PaperStore(SCARCE)
    one = sweeper(store, clock)

    assert [one.step() for _ in range(4)] == [0.0, 0.0, 0.0, LOOK_EVERY_WHEN_NEARLY_FULL]
    assert {wish.unmatched_before for wish in store.wishes} == {EVER}


@pytest.mark.parametrize("step", [timedelta(days=4000), -timedelta(hours=1), timedelta(seconds=3)])
def test_a_clock_that_was_set_is_not_believed_for_an_hour(
    store: PaperStore, clock: HandMovedClock, step: timedelta
) -> None:
    one = sweeper(store, clock, Retention(timedelta(seconds=1), timedelta(seconds=1)))
    store.rows = 0
    one.step()
    store.rows = 500

    clock.set(clock.now() + step)
    assert one.step() == LOOK_EVERY
    clock.advance(timedelta(seconds=DISTRUST_SECONDS - 1))
    assert one.step() == LOOK_EVERY
    assert store.rows == 500

    clock.advance(timedelta(seconds=1))
    one.step()
    assert store.rows == 300


@pytest.mark.parametrize(("last_at", "believed"), [(MOMENT - 2 * DAY, True), (MOMENT - 400 * DAY, False), (None, True)])
def test_a_clock_that_is_far_ahead_of_the_last_transition_at_the_start_is_not_believed_for_an_hour(
    store: PaperStore, clock: HandMovedClock, last_at: datetime | None, believed: bool
) -> None:
    clock.set(MOMENT + 31 * DAY)
    store.last_at = None if last_at is None else last_at + 31 * DAY
    one = sweeper(store, clock)

    one.step()
    assert (store.rows < 500) is believed

    clock.advance(timedelta(seconds=DISTRUST_SECONDS))
    one.step()
    assert store.rows < 500


def test_a_clock_that_runs_a_little_fast_is_believed(store: PaperStore, clock: HandMovedClock) -> None:
    one = sweeper(store, clock)
    for _ in range(3):
        clock.advance(timedelta(seconds=LOOK_EVERY))
        clock.set(clock.now() + timedelta(seconds=1))
        one.step()

    assert not store.rows


def test_the_ballast_is_made_whole_as_soon_as_it_may_be(store: PaperStore, clock: HandMovedClock) -> None:
    one = sweeper(store, clock)
    one.step()
    assert not store.restocked

    store.now = Room(free=10**12, size=0, missing=BALLAST, total=10**13)
    one.step()

    assert store.restocked == 1


def test_room_is_given_back_in_small_pieces(store: PaperStore, clock: HandMovedClock) -> None:
    store.now = Room(free=10**12, size=0, reusable=KEPT_EMPTY + 3 * MEBIBYTE, total=10**13)
    store.rows = 0

    assert sweeper(store, clock).step() < LOOK_EVERY
    assert store.reclaimed == [MEBIBYTE]


@pytest.mark.parametrize("refusal", [StoreError("held"), StoreFullError("full"), ZeroDivisionError()])
def test_what_fails_is_tried_again(store: PaperStore, clock: HandMovedClock, until, refusal: Exception) -> None:
    store.refusal = refusal
    one = sweeper(store, clock)

    assert LOOK_EVERY_WHEN_NEARLY_FULL <= one._step_safely() <= LOOK_EVERY

    store.refusal = None
    one.start()
    until(lambda: not store.rows)
    one.close()
    one.close()


def test_it_ends_with_the_store(store: PaperStore, clock: HandMovedClock, until) -> None:
    store.refusal = StoreClosedError("closed")
    one = sweeper(store, clock)

    one.start()

    until(lambda: not one._thread.is_alive())
