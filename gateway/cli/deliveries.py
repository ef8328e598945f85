"""Commands about deliveries in the store: list, show, retry, cancel, drop."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer
from rich.text import Text
from typer.core import TyperGroup

from gateway.channels.base import Message
from gateway.channels.console import block
from gateway.cli.event import delivery_number, what_happened
from gateway.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, duration
from gateway.cli.output import FINDINGS, USAGE, clock, fail, number, print_json, say, table, warn
from gateway.cli.stored import reader, writer
from gateway.delivery.payload import decode
from gateway.delivery.reasons import WHY
from gateway.spelling import no_such
from gateway.store.ledger import total
from gateway.store.rows import Attempt, Delivery, DeliveryFilter, DeliveryHistory, LedgerLine, Status
from gateway.store.store import Store

_COLOURS: Mapping[Status, str] = {
    "pending": "yellow",
    "claimed": "yellow",
    "delivered": "green",
    "suppressed": "dim",
    "cancelled": "dim",
    "dead": "bold red",
}


AT_A_TIME = 500
"""Deliveries that are looked up, or changed, together."""


class Deliveries(TyperGroup):
    """The group of commands; without the name of one it lists."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``list`` before options that stand alone."""
        is_list = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        return super().parse_args(ctx, ["list", *args] if is_list else args)


def _since(text: str) -> datetime:
    return datetime.now(UTC) - duration(text)


def _known_status(text: str) -> Status:
    if text not in get_args(Status):
        raise typer.BadParameter(no_such("status", text, get_args(Status)))
    return cast(Status, text)


SomeNumbers = Annotated[
    list[int] | None,
    typer.Argument(metavar="ID", parser=delivery_number, help="Numbers of deliveries, such as 12."),
]
StatusOption = Annotated[
    Status | None,
    typer.Option("--status", metavar="STATUS", parser=_known_status, help=f"One of {', '.join(get_args(Status))}."),
]
ChannelOption = Annotated[str | None, typer.Option("--channel", metavar="NAME", help="Only to this channel.")]
HandlerOption = Annotated[str | None, typer.Option("--handler", metavar="NAME", help="Only from this handler.")]
SinceOption = Annotated[
    datetime | None,
    typer.Option("--since", metavar="DURATION", parser=_since, help="Accepted within the last 2h, 30m, 7d …"),
]
AllOption = Annotated[bool, typer.Option("--all", help="All that the other options choose, not single ones.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before many are changed.")]


def list_deliveries(
    status: StatusOption = None,
    channel: ChannelOption = None,
    handler: HandlerOption = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many.")] = 20,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List deliveries, newest first, and how the books balance.

    A running gateway is not disturbed. Exit code 1 if the books do not balance.
    """
    with reader(config) as store:
        found = store.deliveries(DeliveryFilter(status, channel, handler, since), limit=limit) if store else []
        balance = total(store.ledger()) if store else LedgerLine("", "")
    if as_json:
        print_json({"deliveries": found, "ledger": account(balance)})
    else:
        print_deliveries(found)
        say(in_balance(balance), "" if balance.balances else "bold red")
    if not balance.balances:
        raise typer.Exit(FINDINGS)


def print_deliveries(deliveries: Sequence[Delivery]) -> None:
    """A table of deliveries, where they stand and why, and what the reasons mean."""
    if not deliveries:
        return
    columns = ("#", "accepted", "status", "handler", "channel", "tries", "why", "title")
    table(columns, map(_row, deliveries), shortened=("why", "title"))
    for meaning in dict.fromkeys(in_words(one.reason) for one in deliveries):
        if meaning:
            say(f"{meaning}.", "dim")
    say()


def _row(one: Delivery) -> tuple[object, ...]:
    return one.id, one.created_at, _status(one), one.handler, one.channel, one.attempts, _short_why(one), one.title


def account(line: LedgerLine) -> dict[str, Any]:
    """The counts of a line and whether they balance, for machines."""
    counts = {key: count for key, count in asdict(line).items() if key not in ("handler", "channel")}
    return {**counts, "balances": line.balances}


def in_balance(line: LedgerLine) -> str:
    """The ledger in one line: what was accepted, and where all of it is."""
    if not line.accepted:
        return "no deliveries yet"
    parts = ("delivered", "suppressed", "dead", "cancelled", "owed")
    accounts = " + ".join(f"{getattr(line, part)} {part}" for part in parts)
    return f"{line.accepted} accepted {'=' if line.balances else '≠'} {accounts}"


def _status(delivery: Delivery) -> Text:
    return Text(delivery.status, _COLOURS[delivery.status])


def _short_why(delivery: Delivery) -> str:
    return ", ".join(filter(None, (delivery.reason if delivery.reason != "ok" else "", _next_try(delivery))))


def _why(delivery: Delivery) -> str:
    return ", ".join(filter(None, (in_words(delivery.reason), _next_try(delivery))))


def _next_try(delivery: Delivery) -> str:
    return f"next try {clock(delivery.due_at)}" if delivery.status == "pending" else ""


def in_words(reason: str) -> str:
    """A reason and what it means; the reason alone if that is not known here, nothing for "ok"."""
    if reason == "ok":
        return ""
    return f"{reason}: {WHY[reason]}" if reason in WHY else reason


def show(
    delivery: Annotated[
        int,
        typer.Argument(
            metavar="ID", parser=delivery_number, help="The number of a delivery, such as 12.", show_default=False
        ),
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show one delivery: its standing, attempts, message, cause."""
    with reader(config) as store:
        history = store.history(delivery) if store else None
    if history is None:
        fail(f"there is no delivery #{delivery}")
    if as_json:
        cause = json.loads(history.transition.payload)
        print_json({"delivery": history.delivery, "attempts": history.attempts, "transition": cause})
    else:
        _print_history(history)


def _print_history(history: DeliveryHistory) -> None:
    one = history.delivery
    say(f"Delivery #{one.id}: {one.status}", f"bold {_COLOURS[one.status]}".replace("bold bold", "bold"))
    for label, value in _facts(history):
        say(f"  {label:<9} {value}")
    if history.attempts:
        say()
        columns = ("attempt", "at", "took", "outcome", "reason", "detail")
        table(columns, (_attempt(n, made) for n, made in enumerate(history.attempts, 1)))
    say()
    say(block(f"{one.channel} · {one.format}", Message(one.body, one.title, one.severity)).rstrip("\n"))


def _attempt(n: int, made: Attempt) -> tuple[object, ...]:
    return n, made.at, f"{made.milliseconds} ms", made.outcome, made.reason, made.detail


def _facts(history: DeliveryHistory) -> Iterator[tuple[str, str]]:
    one, cause = history.delivery, history.transition
    if why := _why(one):
        yield "why", why
    yield "handler", one.handler
    yield "channel", one.channel
    yield "cause", f"{what_happened(decode(cause.payload))}, {clock(cause.occurred_at)}"
    yield "", f"transition {cause.id} from {cause.source}"
    yield "accepted", clock(one.created_at)
    yield "changed", clock(one.updated_at)
    if one.status in ("pending", "claimed"):
        yield "gives up", clock(one.give_up_at)
    if one.fallback_of is not None:
        yield "instead of", f"#{one.fallback_of}, which was given up"


@dataclass(frozen=True, slots=True)
class _Command:
    """What is done with deliveries by hand.

    Attributes:
        name: of the command.
        order: has the store do it.
        done: what became of one, in words.
        to: the statuses it can be done to; of many at once, the first unless told otherwise.
    """

    name: str
    order: Callable[[Store, int, datetime], Future[bool]]
    done: str
    to: tuple[Status, ...]


_RETRY = _Command("retry", Store.retry, "will be sent again", ("dead", "pending", "cancelled"))
_CANCEL = _Command("cancel", Store.cancel, "is cancelled", ("pending",))
_DROP = _Command("drop", Store.drop, "is dropped", ("dead",))


def retry(
    deliveries: SomeNumbers = None,
    everything: AllOption = False,
    status: StatusOption = None,
    channel: ChannelOption = None,
    handler: HandlerOption = None,
    since: SinceOption = None,
    yes: YesOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Send pending, dead or cancelled deliveries again.

    They are due at once and have all their attempts before them. A running gateway sends them
    within a second or so; otherwise they go out when one is next started. With --all: every dead
    one that the other options choose, or every one of --status. Exit code 1 if one of them is not
    such a delivery.
    """
    chosen = _chosen(_RETRY, deliveries, everything, DeliveryFilter(status, channel, handler, since))
    _carry_out(_RETRY, chosen, config, yes, as_json)


def cancel(
    deliveries: SomeNumbers = None,
    everything: AllOption = False,
    channel: ChannelOption = None,
    handler: HandlerOption = None,
    since: SinceOption = None,
    yes: YesOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """End pending deliveries, so that they are not sent.

    They stay in the books as cancelled, and can be retried. With --all: every one that the other
    options choose. Exit code 1 if one of them is not pending.
    """
    chosen = _chosen(_CANCEL, deliveries, everything, DeliveryFilter(None, channel, handler, since))
    _carry_out(_CANCEL, chosen, config, yes, as_json)


def drop(
    deliveries: SomeNumbers = None,
    everything: AllOption = False,
    channel: ChannelOption = None,
    handler: HandlerOption = None,
    since: SinceOption = None,
    yes: YesOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Take dead letters out of the way, once nobody needs them any more.

    They become cancelled, with all that is known about them, and can be retried. With --all: every
    one that the other options choose. Exit code 1 if one of them is not dead.
    """
    chosen = _chosen(_DROP, deliveries, everything, DeliveryFilter(None, channel, handler, since))
    _carry_out(_DROP, chosen, config, yes, as_json)


def _chosen(
    command: _Command, ids: list[int] | None, everything: bool, wanted: DeliveryFilter
) -> list[int] | DeliveryFilter:
    """The deliveries by number, or what chooses them; ends the command if neither or both are given."""
    if ids and (everything or wanted != DeliveryFilter()):
        fail("give either numbers of deliveries, or --all and what chooses them", USAGE)
    if ids:
        return ids
    if not everything:
        fail(f"say which: 'gateway deliveries {command.name} 12 15', or --all and what chooses them", USAGE)
    status = wanted.status or command.to[0]
    if status not in command.to:
        fail(f"'{command.name}' is for deliveries that are {' or '.join(command.to)}", USAGE)
    return replace(wanted, status=status)


def _carry_out(command: _Command, chosen: list[int] | DeliveryFilter, config: Path, yes: bool, as_json: bool) -> None:
    with writer(config) as store:
        if store is None:
            about = "are no deliveries" if isinstance(chosen, DeliveryFilter) else f"is no delivery #{chosen[0]}"
            fail(f"there {about}: no gateway has run on {config} yet")
        ids = _confirmed(command, store, chosen, yes) if isinstance(chosen, DeliveryFilter) else chosen
        results = _ordered(command, store, ids)
        refused = {id: _standing(store, id) for id, carried_out in results.items() if not carried_out}
    if as_json:
        print_json([{"id": id, "done": carried_out} for id, carried_out in results.items()])
    else:
        _tell_results(command, results, refused, summed=isinstance(chosen, DeliveryFilter))
    if refused:
        raise typer.Exit(FINDINGS)


def _tell_results(command: _Command, results: Mapping[int, bool], refused: Mapping[int, str], summed: bool) -> None:
    done = [id for id in results if id not in refused]
    for id in results:
        if id in refused:
            warn(f"#{id} is left alone: {refused[id]}")
        elif not summed:
            say(f"#{id} {command.done}", "green")
    if summed:
        became = command.done if len(done) == 1 else command.done.replace("is ", "are ")
        say(f"{number(len(done), 'delivery')} {became}", "green") if results else say("no delivery fits")


def _confirmed(command: _Command, store: Store, wanted: DeliveryFilter, yes: bool) -> list[int]:
    """The deliveries that ``wanted`` chooses, oldest first, once somebody has seen how many that are."""
    found = [*_all(store, wanted)]
    channels = ", ".join(f"{count} to {channel}" for channel, count in Counter(d.channel for d in found).most_common(5))
    if found and not yes:
        warn(f"{number(len(found), 'delivery')}: {channels}", "")
        typer.confirm(
            f"{command.name.capitalize()} {'it' if len(found) == 1 else 'all of them'}?", abort=True, err=True
        )
    return sorted(one.id for one in found)


def _all(store: Store, wanted: DeliveryFilter) -> Iterator[Delivery]:
    before: int | None = None
    while page := store.deliveries(wanted, limit=AT_A_TIME, before=before):
        yield from page
        before = page[-1].id


def _ordered(command: _Command, store: Store, ids: Sequence[int]) -> dict[int, bool]:
    """Whether each was done, in order; what is ordered together is written together."""
    results: dict[int, bool] = {}
    steps = range(0, len(ids), AT_A_TIME)
    shown = typer.progressbar(steps, label=command.name, file=sys.stderr) if len(steps) > 1 else nullcontext(steps)
    with shown as positions:
        for position in positions:
            ordered = {id: command.order(store, id, store.now()) for id in ids[position : position + AT_A_TIME]}
            results |= {id: answer.result() for id, answer in ordered.items()}
    return results


def _standing(store: Store, delivery: int) -> str:
    history = store.history(delivery)
    return f"it is {history.delivery.status}" if history else "there is no such delivery"
