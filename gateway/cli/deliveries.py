"""Commands about deliveries in the store: list, show, retry, cancel."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.text import Text
from typer.core import TyperGroup

from gateway.channels.base import Message
from gateway.channels.console import block
from gateway.cli.event import delivery_number, what_happened
from gateway.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, duration
from gateway.cli.output import FINDINGS, clock, fail, print_json, say, table, warn
from gateway.cli.stored import reader, writer
from gateway.delivery.payload import decode
from gateway.delivery.reasons import WHY
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


class Deliveries(TyperGroup):
    """The group of commands; without the name of one it lists."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``list`` before options that stand alone."""
        is_list = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        return super().parse_args(ctx, ["list", *args] if is_list else args)


def _since(text: str) -> datetime:
    return datetime.now(UTC) - duration(text)


Numbers = Annotated[
    list[int],
    typer.Argument(metavar="ID", parser=delivery_number, help="Numbers of deliveries, such as 12.", show_default=False),
]


def list_deliveries(
    status: Annotated[
        Status | None, typer.Option("--status", metavar="STATUS", help=f"One of {', '.join(get_args(Status))}.")
    ] = None,
    channel: Annotated[str | None, typer.Option("--channel", metavar="NAME", help="Only to this channel.")] = None,
    handler: Annotated[str | None, typer.Option("--handler", metavar="NAME", help="Only from this handler.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--since", metavar="DURATION", parser=_since, help="Accepted within the last 2h, 30m, 7d …"),
    ] = None,
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
        print_json({"deliveries": found, "ledger": _account(balance)})
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


def _account(line: LedgerLine) -> dict[str, Any]:
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


def retry(deliveries: Numbers, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Send pending, dead or cancelled deliveries again.

    They are due at once and have all their attempts before them. A running gateway sends them
    within a second or so; otherwise they go out when one is next started. Exit code 1 if one of
    them is not such a delivery.
    """
    _order(deliveries, config, as_json, Store.retry, "will be sent again")


def cancel(deliveries: Numbers, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """End pending deliveries, so that they are not sent.

    They stay in the books as cancelled. Exit code 1 if one of them is not pending.
    """
    _order(deliveries, config, as_json, Store.cancel, "is cancelled")


def _order(
    ids: list[int],
    config: Path,
    as_json: bool,
    order: Callable[[Store, int, datetime], Future[bool]],
    done: str,
) -> None:
    with writer(config) as store:
        if store is None:
            fail(f"there is no delivery #{ids[0]}: no gateway has run on {config} yet")
        results = {id: order(store, id, store.now()).result() for id in ids}
        refused = {id: _standing(store, id) for id, carried_out in results.items() if not carried_out}
    if as_json:
        print_json([{"id": id, "done": carried_out} for id, carried_out in results.items()])
    else:
        for id in results:
            warn(f"#{id} is left alone: {refused[id]}") if id in refused else say(f"#{id} {done}", "green")
    if refused:
        raise typer.Exit(FINDINGS)


def _standing(store: Store, delivery: int) -> str:
    history = store.history(delivery)
    return f"it is {history.delivery.status}" if history else "there is no such delivery"
