"""What happens is counted under names of the configuration and words of closed lists, and under nothing else."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta

import pytest

from gateway.delivery.notice import HANDLER
from gateway.delivery.observers import Beaten, Faulty, Kept, Noticed, Settled
from gateway.observe.counting import ELSE, LABELS, Counting, Counts, Histogram, Names
from gateway.reload import Reloaded
from gateway.store import operations
from gateway.store.rows import Accepted, Attempt, Delivery, Record
from gateway.store.writer import Commit
from gateway.testing.builders import MOMENT, new_delivery, transition

NAMES = Names(frozenset({HANDLER, "load-failed", "notifier for oncall"}), frozenset({"oncall", "mail"}))
HOSTILE = 'x"}\n1{'


def counting() -> Counting:
    return Counting(lambda: NAMES)


def delivery(**more: object) -> Delivery:
    new = new_delivery(**{key: value for key, value in more.items() if key in ("handler", "channel", "suppressed")})
    return operations._made(new, 1, 1, MOMENT, 1)


def settled(status: str = "delivered", reason: str = "ok", kept: bool = True, **more: object) -> Settled:
    attempt = Attempt(MOMENT, "delivered" if status == "delivered" else "temporary", reason, "", 30)
    at = MOMENT + timedelta(seconds=2)
    return Settled(Record(delivery(**more), status, reason, at, at, attempt), kept)


@pytest.mark.parametrize(
    ("record", "field", "labels"),
    [
        (Kept([transition()], [Accepted(False, (delivery(),))]), "transitions", ("local", "true")),
        (Kept([transition()], [Accepted(False)]), "transitions", ("local", "false")),
        (Kept([transition(source=HOSTILE)], [Accepted(False)]), "transitions", (ELSE, "false")),
        (Kept([transition()], [Accepted(True)]), "duplicates", ("local",)),
        (Kept([transition()], [Accepted(False, (delivery(), delivery(channel="mail")))]), "matches", ("load-failed",)),
        (Kept([transition()], [Accepted(False, (delivery(handler=HOSTILE),))]), "matches", (ELSE,)),
        (
            Kept([transition()], [Accepted(False, (delivery(suppressed="shadow"),))]),
            "ended",
            ("load-failed", "oncall", "suppressed", "shadow"),
        ),
        (settled(), "ended", ("load-failed", "oncall", "delivered", "ok")),
        (settled("dead", "http_410"), "ended", ("load-failed", "oncall", "dead", "http_410")),
        (settled("dead", HOSTILE, channel=HOSTILE), "ended", ("load-failed", ELSE, "dead", ELSE)),
        (settled("pending", "refused"), "attempts", ("oncall", "temporary", "refused")),
        (settled(kept=False), "late_records", ("oncall",)),
        (Faulty("load-failed", "check"), "raised", ("load-failed",)),
        (Faulty(HOSTILE, "template"), "template_failures", (ELSE,)),
        (Noticed("dead_letter", False), "notices", ("dead_letter", "false")),
        (Beaten("withheld"), "heartbeats", ("withheld",)),
        (Reloaded(False, (), (), 0.1), "reloads", ("refused",)),
    ],
)
def test_a_record_counts_once(record: object, field: str, labels: tuple[str, ...]) -> None:
    seen = counting()

    seen.see(record)

    assert seen.copy(field) == [(labels, 1.0)]


def test_a_retry_that_follows_is_no_end() -> None:
    seen = counting()

    seen.see(settled("pending", "refused"))

    assert seen.copy("ended") == []


def test_a_late_record_counts_nowhere_else() -> None:
    seen = counting()

    seen.see(settled(kept=False))

    assert [field for field in LABELS if seen.copy(field)] == ["late_records"]


def test_latency_is_measured_from_acceptance_and_from_the_occurrence() -> None:
    seen = counting()

    seen.see(settled())
    seen.time(lambda seqs: {1: MOMENT - timedelta(seconds=5)})

    assert seen.copy("since_acceptance")[0][1][1] == 2.0
    assert seen.copy("since_occurrence")[0][1][1] == 7.0
    assert not seen.untimed


def test_a_transition_that_is_kept_no_more_or_occurred_in_the_future_spoils_nothing() -> None:
    seen = counting()

    seen.see(settled())
    seen.time(lambda seqs: {})
    seen.see(settled())
    seen.time(lambda seqs: {1: MOMENT + timedelta(hours=1)})

    [(_, (buckets, total))] = seen.copy("since_occurrence")
    assert (buckets[0][1], total) == (1.0, 0.0)


def test_series_of_what_an_edit_removes_go_and_come_back_as_other() -> None:
    names = [NAMES, Names(frozenset({"load-failed"}), frozenset({"oncall"}))]
    seen = Counting(lambda: names.pop(0))
    seen.see(settled(channel="mail"))
    seen.see(settled())

    seen.see(Reloaded(True, (), (), 0.1))
    seen.see(settled(channel="mail"))

    assert sorted(seen.copy("ended")) == [
        (("load-failed", ELSE, "delivered", "ok"), 1.0),
        (("load-failed", "oncall", "delivered", "ok"), 1.0),
    ]
    assert [labels for labels, _ in seen.copy("attempt_seconds")] == [("oncall",), (ELSE,)]


def test_commits_are_measured() -> None:
    seen = counting()

    seen.see(Commit(40, 0.003))

    [((), (operations_seen, total))] = seen.copy("commit_operations")
    assert (dict(operations_seen)["50.0"], dict(operations_seen)["20.0"], total) == (1.0, 0.0, 40.0)


def test_a_histogram_counts_a_value_in_every_bucket_it_fits() -> None:
    histogram = Histogram((1.0, 2.0))

    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.add(value)

    assert histogram.told() == ([("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)], 12.0)


def test_every_field_has_its_labels() -> None:
    assert [field.name for field in fields(Counts)] == list(LABELS)


def test_records_of_other_kinds_are_passed_over() -> None:
    seen = counting()

    seen.see(object())
    seen.see(replace(settled(), record=replace(settled().record, attempt=None, status="pending")))

    assert not any(seen.copy(field) for field in LABELS)
