"""How far back is read, when, and how far everything counts as read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.sources.prefect.reach import Reach

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
OVERLAP, MAX_AGE = timedelta(minutes=2), timedelta(hours=6)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


class Bed:
    """A reach, and the clock that it is told."""

    def __init__(self, position: datetime = START, max_age: timedelta = MAX_AGE) -> None:
        self.reach = Reach(position, OVERLAP, max_age)
        self.at = 0.0

    @property
    def now(self) -> datetime:
        return START + seconds(self.at)

    def sweep(self, last: datetime | None = None) -> tuple[str, datetime, bool]:
        """Read once, successfully: which look it was, from where, and whether lost events are looked for now."""
        look = self.reach.look(self.now, self.at)
        return look.kind, look.since, self.reach.done(look, last)

    def settle(self) -> None:
        while not self.reach.is_settled:
            self.sweep()
            self.at += 5


def test_after_a_start_the_whole_overlap_is_read_again_and_again_until_nothing_can_come_late() -> None:
    bed, seen = Bed(), []
    for _ in range(30):
        kind, since, for_history = bed.sweep()
        seen.append((kind, bed.at, since, for_history))
        bed.at += 5

    unsettled = [(at, since, history) for kind, at, since, history in seen if kind == "unsettled"]
    assert unsettled == [(at, START - OVERLAP, at == 15) for at in (0, 15, 30, 60, 120)]
    assert seen[-1][0] in ("short", "long")


def test_while_a_stretch_is_unsettled_its_beginning_is_what_counts_as_read() -> None:
    bed = Bed()
    bed.sweep()
    bed.at = 5
    bed.sweep(START + seconds(4))

    assert bed.reach.position == START + seconds(4)
    assert bed.reach.kept == START
    bed.settle()
    assert bed.reach.kept == bed.reach.position


def test_in_steady_state_little_is_read_again_and_once_in_a_while_more() -> None:
    bed = Bed()
    bed.settle()
    kinds = []
    for _ in range(48):
        kind, since, _ = bed.sweep(bed.now)
        kinds.append((kind, bed.now - since))
        bed.at += 5

    assert kinds.count(("long", 2 * OVERLAP + seconds(5))) == 2
    assert {back for kind, back in kinds if kind == "short"} <= {seconds(20), seconds(20) + OVERLAP}


def test_an_event_from_the_future_does_not_move_the_position_beyond_now() -> None:
    bed = Bed()
    bed.sweep(START + timedelta(days=365))

    assert bed.reach.position == START


def test_where_nothing_happens_the_position_follows_all_the_same() -> None:
    bed = Bed()
    bed.at = 3600
    bed.sweep(None)

    assert bed.reach.position == bed.now - OVERLAP


def test_a_breakdown_makes_unsettled_what_follows_the_position_until_some_time_after_it_is_over() -> None:
    bed = Bed()
    bed.settle()
    bed.sweep(bed.now)
    broke_at = bed.reach.position
    bed.reach.broke()
    bed.at += 3600
    bed.reach.broke()

    assert bed.sweep(bed.now)[:2] == ("unsettled", broke_at - OVERLAP)
    assert bed.reach.kept == broke_at
    bed.at += 15
    assert bed.sweep(bed.now) == ("unsettled", broke_at - OVERLAP, True)


def test_breakdowns_that_follow_each_other_quickly_hold_the_position_no_longer_than_one() -> None:
    bed = Bed()
    bed.settle()
    for _ in range(60):  # the connection breaks every half a minute, for half an hour
        bed.reach.broke()
        for _ in range(6):
            bed.sweep(bed.now)
            bed.at += 5

    assert bed.now - bed.reach.kept <= OVERLAP + seconds(40)


def test_what_is_older_than_max_age_is_left_out_and_how_much_is_known() -> None:
    bed = Bed(position=START - timedelta(hours=10))

    assert bed.reach.left_out(bed.now) == timedelta(hours=4)
    assert bed.sweep()[1] == START - MAX_AGE
    assert bed.reach.left_out(bed.now) == timedelta()


def test_a_max_age_shorter_than_the_overlap_leaves_nothing_out_in_steady_state() -> None:
    bed = Bed(max_age=seconds(10))
    bed.sweep()
    bed.at += 4
    assert bed.reach.left_out(bed.now) == timedelta()


def test_a_source_that_was_never_read_begins_where_it_is_told_and_reads_nothing_before() -> None:
    for position in (START, START + seconds(30)):
        reach = Reach(position, OVERLAP, MAX_AGE, beginning=START)

        assert reach.look(START + seconds(60), 0.0).since == START


def test_a_clock_that_was_ahead_and_is_set_back_blinds_nobody() -> None:
    bed = Bed()
    bed.at = 3600
    bed.sweep(bed.now)
    bed.reach.broke()
    bed.at = 10

    look = bed.reach.look(bed.now, 3610)
    bed.reach.done(look, None)

    assert look.since <= bed.now - OVERLAP
    assert bed.reach.position == bed.now
    assert bed.reach.kept <= bed.now
