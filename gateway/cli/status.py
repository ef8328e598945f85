"""The command status: how the books, the channels and the gateway processes on a store stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.text import Text

from gateway.cli.configuration import load_config
from gateway.cli.deliveries import account, in_balance, in_words
from gateway.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, duration
from gateway.cli.output import FINDINGS, clock, number, print_json, say, size, table
from gateway.cli.stored import reader
from gateway.config.duration import format_duration, format_roughly
from gateway.sources.prefect.mapping import SOURCE as PREFECT
from gateway.store.ledger import total
from gateway.store.questions import Questions
from gateway.store.room import Room
from gateway.store.rows import LedgerLine, NodeRow, Position
from gateway.store.standing import Standing, Waiting

SILENT = timedelta(seconds=10)
"""A process that was not heard of for so long is dead, stopped, or cannot write to the store."""

_ALWAYS = ("accepted", "delivered", "owed")
_ACCOUNTS = ("accepted", "delivered", "suppressed", "dead", "cancelled", "owed")


def status(
    since: Annotated[
        timedelta, typer.Option("--since", metavar="DURATION", parser=duration, help="Which dead letters to tell of.")
    ] = "1d",  # type: ignore[assignment] # parsed like what is given
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show the books, what is owed and why, and who is at work.

    Asks the store, whether a gateway runs or not, and disturbs none. Exit code 1 if the books do
    not balance.
    """
    loaded = load_config(config, about="store")
    now = datetime.now(UTC)
    with reader(config) as store:
        found = None if store is None else (store.standing(now - since), store.room(), _arrivals(store, now - since))
    if found is None:
        _tell_nothing(as_json)
        return
    standing, room, arrivals = found
    if as_json:
        read = {PREFECT: arrivals.position.until} if arrivals.position else {}
        more = {"store": _bytes(room), "refused": arrivals.refused, "positions": read}
        print_json({**_for_machines(standing, loaded.sources.hash, now), **more})
    else:
        say(loaded.sound.gateway.name, "bold")
        _print(standing, loaded.sources.hash, now, since)
        _print_refused(arrivals.refused, since)
        _print_room(room)
        _print_position(arrivals.position, now)
    if not all(line.balances for line in standing.ledger):
        raise typer.Exit(FINDINGS)


MOST_COUNTED = 100
"""Of events that were not understood, so many are counted one by one."""


@dataclass(frozen=True, slots=True)
class _Arrivals:
    """How many events were not understood, as far as they are counted; and up to when Prefect was read."""

    refused: int
    position: Position | None


def _arrivals(store: Questions, since: datetime) -> _Arrivals:
    refused = sum(one.received_at >= since for one in store.refused(limit=MOST_COUNTED))
    return _Arrivals(refused, store.position(PREFECT))


def _print_position(position: Position | None, now: datetime) -> None:
    if position is not None:
        say(f"Prefect: all is kept up to {clock(position.until)}, {format_roughly(now - position.until)} ago")


def _print_refused(count: int, since: timedelta) -> None:
    if count:
        told = number(count, "event") if count < MOST_COUNTED else f"{MOST_COUNTED} events or more"
        were = "was" if count == 1 else "were"
        say(f"{told} {were} not understood, last {format_duration(since)}: gateway refused", "yellow")


def _tell_nothing(as_json: bool) -> None:
    if as_json:
        print_json({"ledger": {"total": account(LedgerLine("", "")), "lines": []}})
    else:
        say("no deliveries yet: no gateway has run on this configuration")


def _for_machines(standing: Standing, config_hash: str, now: datetime) -> dict[str, Any]:
    return {
        "ledger": {
            "total": account(total(standing.ledger)),
            "lines": [{**asdict(line), "balances": line.balances} for line in standing.ledger],
        },
        "waiting": [{**asdict(one), "reasons": dict(one.reasons)} for one in standing.waiting],
        "dead": standing.dead,
        "nodes": [
            {**asdict(node), "silent": _is_silent(node, now), "differs": _differs(node, config_hash)}
            for node in standing.nodes
        ],
        "config_hash": config_hash,
        "counters": dict(standing.counters),
    }


def _print(standing: Standing, config_hash: str, now: datetime, since: timedelta) -> None:
    _print_ledger(standing.ledger)
    _print_waiting(standing.waiting, now)
    _print_dead(standing, since)
    _print_nodes(standing.nodes, config_hash, now)
    say(_counted(standing.counters))


def _print_ledger(lines: Sequence[LedgerLine]) -> None:
    if lines:
        accounts = [name for name in _ACCOUNTS if name in _ALWAYS or any(getattr(line, name) for line in lines)]
        rows = [(line.handler, line.channel, *(_count(line, name) for name in accounts)) for line in lines]
        table(("handler", "channel", *accounts), rows, shortened=("handler", "channel"), numbers=accounts)
    sum_of_all = total(lines)
    say(in_balance(sum_of_all), "" if sum_of_all.balances else "bold red")
    for line in lines:
        if not line.balances:
            say(f"these books do not balance: {line.handler} → {line.channel}: {in_balance(line)}", "bold red")
    say()


def _count(line: LedgerLine, name: str) -> Text:
    count = getattr(line, name)
    colour = {"dead": "bold red", "owed": "yellow"}.get(name, "") if count else "dim"
    return Text(f"{count:,}", colour if line.balances else "bold red")


def _print_waiting(waiting: Sequence[Waiting], now: datetime) -> None:
    if not waiting:
        return
    rows = [
        (
            one.channel,
            Text(f"{one.owed:,}", "yellow"),
            "" if one.oldest_at is None else format_roughly(now - one.oldest_at),
            "" if one.next_due_at is None else "now" if one.next_due_at <= now else clock(one.next_due_at),
            ", ".join(f"{reason} {count:,}" for reason, count in one.reasons),
        )
        for one in waiting
    ]
    table(("owed to", "owed", "for", "next try", "why"), rows, shortened=("owed to", "why"), numbers=("owed",))
    _print_meanings(reason for one in waiting for reason, _ in one.reasons)


def _print_dead(standing: Standing, since: timedelta) -> None:
    if not standing.dead:
        return
    rows = [(one.channel, one.reason, Text(f"{one.count:,}", "bold red"), one.last_at) for one in standing.dead]
    heading = f"given up, last {format_duration(since)}"
    table((heading, "why", "count", "last"), rows, shortened=(heading,), numbers=("count",))
    _print_meanings(one.reason for one in standing.dead)


_MEANINGS = {"new": "new: not tried yet", "sending": "sending: a gateway has it in hand"}


def _print_meanings(reasons: Iterator[str]) -> None:
    for meaning in dict.fromkeys(_MEANINGS.get(reason) or in_words(reason) for reason in reasons):
        if meaning:
            say(f"{meaning}.", "dim")
    say()


def _print_nodes(nodes: Sequence[NodeRow], config_hash: str, now: datetime) -> None:
    if not nodes:
        say("no gateway is at work: what is owed goes out when one is next started\n", "yellow")
        return
    rows = [
        (
            node.pid,
            node.started_at,
            f"{format_roughly(now - node.heartbeat_at)} ago",
            node.config_hash or "none",
            remark,
        )
        for node in nodes
        for remark in [Text(", ".join(_remarks(node, config_hash, now)), "yellow")]
    ]
    table(("process", "since", "heard of", "configuration", ""), rows)
    say()


def _remarks(node: NodeRow, config_hash: str, now: datetime) -> Iterator[str]:
    if _is_silent(node, now):
        yield "silent"
    if _differs(node, config_hash):
        yield "not the configuration in these files"


def _is_silent(node: NodeRow, now: datetime) -> bool:
    return now - node.heartbeat_at > SILENT


def _differs(node: NodeRow, config_hash: str) -> bool:
    """A process without a configuration, such as another command, does not."""
    return node.config_hash not in ("", config_hash)


def _counted(counters: Mapping[str, int]) -> str:
    text = f"{number(counters['transitions'], 'transition')} accepted, {counters['unmatched']:,} matched by no handler"
    text += f"; {number(counters['duplicates'], 'repeat')}"
    late = counters["late_records"]
    return text + (f"; {number(late, 'outcome')} came too late" if late else "")


def _bytes(room: Room) -> dict[str, Any]:
    return {"size": room.size, "room": room.spare, "nearly_full": room.is_nearly_full}


def _print_room(room: Room) -> None:
    if room.size is None or room.spare is None:
        return  # a database server knows
    text = f"store: {size(room.size)}, room for {size(room.spare)} more"
    say(f"{text}: nearly full", "bold red") if room.is_nearly_full else say(text)
