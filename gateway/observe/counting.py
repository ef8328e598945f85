"""Counting: an observer that turns what happens into numbers. Cheap, since every transition pays for it.

Labels are names of the configuration and words out of closed lists, never anything that came with an event.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as made
from datetime import datetime
from itertools import accumulate
from typing import Any

from gateway.compile import Ruleset
from gateway.delivery.notice import HANDLER
from gateway.delivery.observers import Beaten, Faulty, Kept, Misunderstood, Noticed, Settled
from gateway.delivery.reasons import WHY
from gateway.reload import Reloaded
from gateway.store.rows import Record
from gateway.store.writer import Commit

Labels = tuple[str, ...]

ELSE = "(other)"
"""Stands for every handler, channel or source that is not a name of ours (any more)."""

SOURCES = frozenset(
    {"local", "prefect1", "prefect3", "event", "openlineage", "cloudevents", "airflow", "dagster", "gateway"}
)
"""Sources that have a series of their own; events may name others."""

MOST_UNTIMED = 20_000
"""Deliveries between two scrapes whose time since the occurrence is measured; of more, the latest are."""

_SEQS_AT_A_TIME = 500

ATTEMPT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 3600.0, 21600.0, 86400.0)
COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
BATCH_BUCKETS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)


class Histogram:
    """Counts of values by upper bound."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds, self._counts, self._sum = bounds, [0] * (len(bounds) + 1), 0.0

    def add(self, value: float) -> None:
        """Count ``value``."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def told(self) -> tuple[list[tuple[str, float]], float]:
        """The running totals by bound, and the sum of all values."""
        bounds = [*map(str, self._bounds), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self._counts)), strict=True)), self._sum


@dataclass(frozen=True, slots=True)
class Names:
    """The handlers and channels that have series of their own."""

    handlers: frozenset[str]
    channels: frozenset[str]

    @classmethod
    def of(cls, ruleset: Ruleset) -> Names:
        """Those of the configuration, and those that stand for ourselves and for notifiers."""
        handlers = {handler.name for handler in ruleset.config.handlers}
        notifiers = {f"notifier for {name}" for name in ruleset.loaded.channel_names}
        return cls(frozenset({HANDLER, *handlers, *notifiers}), frozenset(ruleset.destinations))

    def handler(self, name: str) -> str:
        """``name``, if it is one of ours."""
        return name if name in self.handlers else ELSE

    def channel(self, name: str) -> str:
        """``name``, if it is one of ours."""
        return name if name in self.channels else ELSE

    def knows(self, keys: Sequence[str], labels: Labels) -> bool:
        """Whether every handler and channel among the labels still has a series."""
        known: Mapping[str, frozenset[str]] = {"handler": self.handlers, "channel": self.channels}
        return all(label == ELSE or label in known.get(key, {label}) for key, label in zip(keys, labels, strict=True))


@dataclass(slots=True)
class Counts:
    """What was counted since the start, by labels; which those are, and in which order, tells :data:`LABELS`."""

    transitions: Counter[Labels] = made(default_factory=Counter)
    duplicates: Counter[Labels] = made(default_factory=Counter)
    matches: Counter[Labels] = made(default_factory=Counter)
    raised: Counter[Labels] = made(default_factory=Counter)
    template_failures: Counter[Labels] = made(default_factory=Counter)
    ended: Counter[Labels] = made(default_factory=Counter)
    attempts: Counter[Labels] = made(default_factory=Counter)
    refused: Counter[Labels] = made(default_factory=Counter)
    late_records: Counter[Labels] = made(default_factory=Counter)
    notices: Counter[Labels] = made(default_factory=Counter)
    heartbeats: Counter[Labels] = made(default_factory=Counter)
    reloads: Counter[Labels] = made(default_factory=Counter)
    attempt_seconds: dict[Labels, Histogram] = made(default_factory=dict)
    since_acceptance: dict[Labels, Histogram] = made(default_factory=dict)
    since_occurrence: dict[Labels, Histogram] = made(default_factory=dict)
    commit_seconds: dict[Labels, Histogram] = made(default_factory=dict)
    commit_operations: dict[Labels, Histogram] = made(default_factory=dict)


LABELS: Mapping[str, Labels] = {
    "transitions": ("source", "matched"),
    "duplicates": ("source",),
    "matches": ("handler",),
    "raised": ("handler",),
    "template_failures": ("handler",),
    "ended": ("handler", "channel", "status", "reason"),
    "attempts": ("channel", "outcome", "reason"),
    "refused": ("source",),
    "late_records": ("channel",),
    "notices": ("kind", "told"),
    "heartbeats": ("result",),
    "reloads": ("result",),
    "attempt_seconds": ("channel",),
    "since_acceptance": ("channel",),
    "since_occurrence": ("channel",),
    "commit_seconds": (),
    "commit_operations": (),
}
"""The labels of each field of :class:`Counts`."""


class Counting:
    """The observer: turns records into counts. Safe to call from any thread."""

    def __init__(self, names: Callable[[], Names]) -> None:
        self._ask_names, self._names = names, names()
        self._lock = threading.Lock()
        self.counts = Counts()
        self.untimed: deque[tuple[int, str, datetime]] = deque(maxlen=MOST_UNTIMED)
        """Deliveries since the last scrape: transition, channel, when delivered."""

    def see(self, record: object) -> None:
        """Count what ``record`` tells."""
        with self._lock:
            match record:
                case Kept():
                    self._kept(record)
                case Settled():
                    self._settled(record)
                case Commit():
                    _histogram(self.counts.commit_seconds, (), COMMIT_BUCKETS).add(record.seconds)
                    _histogram(self.counts.commit_operations, (), BATCH_BUCKETS).add(record.operations)
                case Faulty():
                    part = self.counts.raised if record.part == "check" else self.counts.template_failures
                    part[(self._names.handler(record.handler),)] += 1
                case Misunderstood():
                    self.counts.refused[(_known(record.source),)] += 1
                case Noticed():
                    self.counts.notices[record.kind, _yes(record.told)] += 1
                case Beaten():
                    self.counts.heartbeats[(record.result,)] += 1
                case Reloaded():
                    self.counts.reloads[("accepted" if record.accepted else "refused",)] += 1
                    if record.accepted:
                        self._follow(self._ask_names())

    def _kept(self, record: Kept) -> None:
        counts, names = self.counts, self._names
        for transition, accepted in zip(record.transitions, record.accepted, strict=True):
            source = _known(transition.source)
            if accepted.duplicate:
                counts.duplicates[(source,)] += 1
                continue
            counts.transitions[source, _yes(bool(accepted.deliveries))] += 1
            for handler in {one.handler for one in accepted.deliveries}:
                counts.matches[(names.handler(handler),)] += 1
            for one in accepted.deliveries:
                if one.status == "suppressed":
                    key = names.handler(one.handler), names.channel(one.channel), one.status, _reason(one.reason)
                    counts.ended[key] += 1

    def _settled(self, settled: Settled) -> None:
        record, counts = settled.record, self.counts
        channel = self._names.channel(record.delivery.channel)
        if not settled.kept:
            counts.late_records[(channel,)] += 1
            return
        if record.attempt is not None:
            counts.attempts[channel, record.attempt.outcome, _reason(record.attempt.reason)] += 1
            spent = record.attempt.milliseconds / 1000
            _histogram(counts.attempt_seconds, (channel,), ATTEMPT_BUCKETS).add(spent)
        if record.status == "pending":
            return
        counts.ended[self._names.handler(record.delivery.handler), channel, record.status, _reason(record.reason)] += 1
        if record.status == "delivered":
            self._delivered(record, channel)

    def _delivered(self, record: Record, channel: str) -> None:
        waited = max(0.0, (record.at - record.delivery.created_at).total_seconds())
        _histogram(self.counts.since_acceptance, (channel,), LATENCY_BUCKETS).add(waited)
        self.untimed.append((record.delivery.transition_seq, channel, record.at))

    def _follow(self, names: Names) -> None:
        """Drop the series of what the configuration no longer has. The lock is held."""
        self._names = names
        for field, keys in LABELS.items():
            counted: dict[Labels, Any] = getattr(self.counts, field)
            for labels in [one for one in counted if not names.knows(keys, one)]:
                del counted[labels]

    def time(self, occurred: Callable[[Sequence[int]], Mapping[int, datetime]]) -> None:
        """Measure how long ago what was delivered since the last scrape had occurred.

        Args:
            occurred: tells when transitions occurred; what it raises is passed on.
        """
        while batch := self._untimed_batch():
            found = occurred(sorted({seq for seq, _, _ in batch}))
            with self._lock:
                for seq, channel, at in batch:
                    if seq in found and self._names.knows(("channel",), (channel,)):
                        waited = max(0.0, (at - found[seq]).total_seconds())
                        _histogram(self.counts.since_occurrence, (channel,), LATENCY_BUCKETS).add(waited)

    def _untimed_batch(self) -> list[tuple[int, str, datetime]]:
        with self._lock:
            return [self.untimed.popleft() for _ in range(min(_SEQS_AT_A_TIME, len(self.untimed)))]

    def copy(self, field: str) -> list[tuple[Labels, Any]]:
        """What a field of :class:`Counts` has now: numbers, or what :meth:`Histogram.told` gives."""
        with self._lock:
            counted: Mapping[Labels, Any] = getattr(self.counts, field)
            return [
                (labels, one.told() if isinstance(one, Histogram) else float(one)) for labels, one in counted.items()
            ]


def _histogram(all: dict[Labels, Histogram], labels: Labels, bounds: Sequence[float]) -> Histogram:
    found = all.get(labels)
    if found is None:
        found = all[labels] = Histogram(bounds)
    return found


def _known(source: str) -> str:
    return source if source in SOURCES else ELSE


def _reason(reason: str) -> str:
    return reason if reason in WHY else ELSE


def _yes(holds: bool) -> str:
    return "true" if holds else "false"
