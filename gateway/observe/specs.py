"""Specs: every metric with its name, type, labels and meaning, and where its values are found."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal, get_args

from gateway import __version__
from gateway.delivery.breaker import BreakerState
from gateway.delivery.lane import LaneReport
from gateway.observe.counting import LABELS, Labels, Names
from gateway.sources.prefect.report import WAYS, Report
from gateway.store.room import Room
from gateway.store.rows import LedgerLine
from gateway.store.standing import Standing

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class View:
    """What a scrape sees besides the counts; ``standing`` is ``None`` when the store did not answer in time."""

    names: Names
    now: datetime
    config_hash: str
    reports: Mapping[str, LaneReport]
    standing: Standing | None
    room: Room
    store_lately: float
    queued_changes: int
    backlog: int
    last_reload: bool
    last_success: float
    is_well: bool
    prefect: Report | None = None


Value = tuple[Labels, float]
Read = Callable[[View], Iterable[Value]]


@dataclass(frozen=True, slots=True)
class Spec:
    """One metric.

    Attributes:
        name: as it is exposed.
        kind: what Prometheus calls its type.
        labels: their names.
        meaning: one sentence without its full stop.
        counted: the field of :class:`Counts` that has it.
        read: where it is found otherwise.
        of_store: the same on every gateway of a store, and missing while the store does not answer.
    """

    name: str
    kind: Kind
    labels: Labels
    meaning: str
    counted: str = ""
    read: Read | None = None
    of_store: bool = False


def _counted(name: str, kind: Kind, field: str, meaning: str) -> Spec:
    return Spec(name, kind, LABELS[field], meaning, counted=field)


def _asked(name: str, kind: Kind, labels: Labels, meaning: str, read: Read) -> Spec:
    return Spec(name, kind, labels, meaning, read=read)


def _of_the_store(
    name: str, kind: Kind, labels: Labels, meaning: str, value: Callable[[Standing, View], Iterable[Value]]
) -> Spec:
    def read(view: View) -> Iterable[Value]:
        return () if view.standing is None else value(view.standing, view)

    return Spec(name, kind, labels, meaning, read=read, of_store=True)


def _of_channels(value: Callable[[LaneReport], float]) -> Read:
    return lambda view: (((name,), value(report)) for name, report in view.reports.items())


def _breakers(view: View) -> Iterator[Value]:
    for name, report in view.reports.items():
        for state in get_args(BreakerState):
            yield (name, state), float(report.breaker == state)


_ACCOUNTS = tuple(one.name for one in fields(LedgerLine) if one.name not in ("handler", "channel"))


def _ledger(standing: Standing, view: View) -> Iterable[Value]:
    sums = Counter[Labels]()
    for line in standing.ledger:
        for account in _ACCOUNTS:
            key = view.names.handler(line.handler), view.names.channel(line.channel), account
            sums[key] += getattr(line, account)
    return ((labels, float(count)) for labels, count in sums.items())


def _balance(standing: Standing, view: View) -> Iterable[Value]:
    yield (), float(all(line.balances for line in standing.ledger))


def _oldest(standing: Standing, view: View) -> Iterable[Value]:
    ages = dict.fromkeys(view.names.channels, 0.0)
    for one in standing.waiting:
        if one.oldest_at is not None:
            name, age = view.names.channel(one.channel), (view.now - one.oldest_at).total_seconds()
            ages[name] = max(ages.get(name, 0.0), age)
    return (((name,), age) for name, age in ages.items())


def _nodes(standing: Standing, view: View) -> Iterable[Value]:
    found = Counter(one.config_hash for one in standing.nodes if one.config_hash)  # commands have none
    return (((config_hash,), float(number)) for config_hash, number in found.items())


def _counter(name: str) -> Callable[[Standing, View], Iterable[Value]]:
    return lambda standing, view: [((), float(standing.counters[name]))]


def _plain(value: Callable[[View], float]) -> Read:
    return lambda view: [((), float(value(view)))]


def _of_prefect(value: Callable[[Report, View], Iterable[Value]]) -> Read:
    """Nothing, while no Prefect server is followed."""
    return lambda view: () if view.prefect is None else value(view.prefect, view)


def _seconds_since(at: datetime | None, view: View) -> Iterable[Value]:
    return () if at is None else [((), max(0.0, (view.now - at).total_seconds()))]


def _known(value: Callable[[View], float | None]) -> Read:
    return lambda view: () if (found := value(view)) is None else [((), float(found))]


METRICS: tuple[Spec, ...] = (
    _counted(
        "gateway_transitions_total", "counter", "transitions", "Transitions accepted, and whether any handler matched"
    ),
    _counted(
        "gateway_duplicate_transitions_total",
        "counter",
        "duplicates",
        "Transitions not accepted again, since their id was known",
    ),
    _counted("gateway_handler_matches_total", "counter", "matches", "Transitions accepted that the handler matched"),
    _counted(
        "gateway_handler_check_errors_total",
        "counter",
        "raised",
        "Transitions for which the handler's check raised and counted as not matching",
    ),
    _counted(
        "gateway_handler_template_errors_total",
        "counter",
        "template_failures",
        "Messages sent as a plain text, since the handler's template failed",
    ),
    _counted(
        "gateway_deliveries_total",
        "counter",
        "ended",
        "Deliveries that came to their end in this process: delivered, suppressed or dead",
    ),
    _counted("gateway_attempts_total", "counter", "attempts", "Attempts made"),
    _counted("gateway_attempt_duration_seconds", "histogram", "attempt_seconds", "How long attempts took"),
    _counted("gateway_delivery_latency_seconds", "histogram", "since_acceptance", "From acceptance to delivery"),
    _counted(
        "gateway_occurrence_latency_seconds",
        "histogram",
        "since_occurrence",
        "From the occurrence, by the source's clock, to delivery",
    ),
    _counted("gateway_refused_events_total", "counter", "refused", "Events of sources that were not understood"),
    _asked(
        "gateway_prefect_stream_connected",
        "gauge",
        (),
        "1 if the stream of events of the followed Prefect server is open",
        _of_prefect(lambda report, view: [((), float(report.connected))]),
    ),
    _asked(
        "gateway_prefect_sweeps_total",
        "counter",
        ("result",),
        "Readings of the followed server's history, and how they went",
        _of_prefect(lambda report, view: [((result,), float(report.sweeps[result])) for result in ("ok", "failed")]),
    ),
    _asked(
        "gateway_prefect_transitions_total",
        "counter",
        ("way",),
        "Transitions of the followed server, by what told them first",
        _of_prefect(lambda report, view: [((way,), float(report.told[way])) for way in WAYS]),
    ),
    _asked(
        "gateway_prefect_undetailed_transitions_total",
        "counter",
        (),
        "Transitions told without details that a handler reads, since the server did not give them in time",
        _of_prefect(lambda report, view: [((), float(report.undetailed))]),
    ),
    _asked(
        "gateway_prefect_position_lag_seconds",
        "gauge",
        (),
        "How long ago what is noted as read of the followed server's history ends",
        _of_prefect(lambda report, view: _seconds_since(report.position, view)),
    ),
    _asked(
        "gateway_prefect_last_contact_seconds",
        "gauge",
        (),
        "How long ago the followed server last answered",
        _of_prefect(lambda report, view: _seconds_since(report.contact_at, view)),
    ),
    _counted(
        "gateway_late_records_total",
        "counter",
        "late_records",
        "Outcomes passed over, since the delivery was no longer this process's",
    ),
    _asked(
        "gateway_channel_queued_deliveries",
        "gauge",
        ("channel",),
        "Deliveries in memory, waiting for a worker",
        _of_channels(lambda report: report.queued),
    ),
    _asked(
        "gateway_channel_attempts",
        "gauge",
        ("channel",),
        "Attempts in progress",
        _of_channels(lambda report: report.sending),
    ),
    _asked(
        "gateway_channel_overdue_attempts",
        "gauge",
        ("channel",),
        "Attempts in progress for longer than the channel's timeout",
        _of_channels(lambda report: report.overdue),
    ),
    _asked(
        "gateway_channel_stuck_attempts",
        "gauge",
        ("channel",),
        "Attempts given up because the plugin does not return; each holds a thread",
        _of_channels(lambda report: report.stuck),
    ),
    _asked(
        "gateway_channel_breaker",
        "gauge",
        ("channel", "state"),
        "1 for the state the channel's breaker is in",
        _breakers,
    ),
    _of_the_store(
        "gateway_ledger_deliveries",
        "gauge",
        ("handler", "channel", "account"),
        "The ledger: deliveries since the store was made, and where they are",
        _ledger,
    ),
    _of_the_store("gateway_ledger_balanced", "gauge", (), "1 if the books balance", _balance),
    _of_the_store(
        "gateway_oldest_owed_seconds",
        "gauge",
        ("channel",),
        "How long the oldest delivery has been owed, 0 if none is",
        _oldest,
    ),
    _of_the_store(
        "gateway_store_transitions_total",
        "counter",
        (),
        "Transitions accepted since the store was made",
        _counter("transitions"),
    ),
    _of_the_store(
        "gateway_store_unmatched_transitions_total",
        "counter",
        (),
        "Those of them that no handler matched",
        _counter("unmatched"),
    ),
    _of_the_store(
        "gateway_store_duplicate_transitions_total",
        "counter",
        (),
        "Transitions not accepted again since the store was made",
        _counter("duplicates"),
    ),
    _of_the_store(
        "gateway_store_late_records_total",
        "counter",
        (),
        "Outcomes passed over since the store was made",
        _counter("late_records"),
    ),
    _of_the_store(
        "gateway_nodes",
        "gauge",
        ("config_hash",),
        "Gateway processes on the store by configuration: more than one series means they differ",
        _nodes,
    ),
    _asked(
        "gateway_store_up",
        "gauge",
        (),
        "1 if the store answered this scrape in time",
        _plain(lambda view: view.standing is not None),
    ),
    _asked(
        "gateway_store_size_bytes",
        "gauge",
        (),
        "What the files of the store take; missing where only a database server knows",
        _known(lambda view: view.room.size),
    ),
    _asked(
        "gateway_store_room_bytes",
        "gauge",
        (),
        "What the store can still grow by; missing where only a database server knows",
        _known(lambda view: view.room.spare),
    ),
    _asked(
        "gateway_store_nearly_full",
        "gauge",
        (),
        "1 if somebody should make room, or the store refuses changes for want of it",
        _plain(lambda view: view.room.is_nearly_full),
    ),
    _asked(
        "gateway_store_last_write_seconds",
        "gauge",
        (),
        "How long ago this process last wrote to the store for sure; it does so every few seconds",
        _plain(lambda view: view.store_lately),
    ),
    _asked(
        "gateway_store_queued_operations",
        "gauge",
        (),
        "Changes that wait for the store's writer",
        _plain(lambda view: view.queued_changes),
    ),
    _counted(
        "gateway_store_commit_duration_seconds",
        "histogram",
        "commit_seconds",
        "How long transactions took, the wait for other processes and the disk included",
    ),
    _counted("gateway_store_commit_operations", "histogram", "commit_operations", "Changes in a transaction"),
    _asked(
        "gateway_backlog_size",
        "gauge",
        (),
        "Pieces of work the store refused, kept in memory and tried again",
        _plain(lambda view: view.backlog),
    ),
    _counted(
        "gateway_notices_total", "counter", "notices", "Notices for operators, and whether they were told of this one"
    ),
    _counted(
        "gateway_heartbeats_total",
        "counter",
        "heartbeats",
        "Calls to the heartbeat URL: sent, failed, or withheld because the gateway was not well",
    ),
    _asked(
        "gateway_well",
        "gauge",
        (),
        "1 if what is due is looked for and the store takes changes: what the heartbeat goes by",
        _plain(lambda view: view.is_well),
    ),
    _counted("gateway_config_reloads_total", "counter", "reloads", "Reloads, accepted and refused"),
    _asked(
        "gateway_config_last_reload_successful",
        "gauge",
        (),
        "1 if the last attempt to load the configuration succeeded",
        _plain(lambda view: view.last_reload),
    ),
    _asked(
        "gateway_config_last_reload_success_timestamp_seconds",
        "gauge",
        (),
        "When the configuration was last loaded with success, in seconds since 1970",
        _plain(lambda view: view.last_success),
    ),
    _asked(
        "gateway_config_hash",
        "gauge",
        (),
        "The configuration in force as a number: the same texts have the same",
        _plain(lambda view: int(view.config_hash, 16)),
    ),
    _asked(
        "gateway_build_info",
        "gauge",
        ("version", "python"),
        "1, labelled with the versions that run",
        lambda view: [((__version__, platform.python_version()), 1.0)],
    ),
)
"""Every metric, in the order they are exposed."""
