"""Commands about events that were not understood: list, show."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gateway.cli.event import delivery_number
from gateway.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from gateway.cli.output import clock, fail, print_json, say, table
from gateway.cli.stored import reader
from gateway.store.rows import Refused

Number = Annotated[
    int, typer.Argument(metavar="ID", parser=delivery_number, help="Number of a refused event, such as 12.")
]


def list_refused(
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many.")] = 20,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List events that were not understood, newest first.

    With what is wrong with them. The latest thousand are kept. A running gateway is not disturbed.
    """
    with reader(config) as store:
        found = store.refused(limit=limit) if store else []
    if as_json:
        print_json({"refused": found})
    elif found:
        table(("#", "received", "source", "what is wrong"), map(_row, found), shortened=("what is wrong",))
    else:
        say("every event was understood")


def _row(one: Refused) -> tuple[object, ...]:
    return one.id, one.received_at, one.source, one.complaint


def show_refused(id: Number, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show an event as it came, and what is wrong with it."""
    with reader(config) as store:
        found = store.refused(limit=1, before=id + 1) if store else []
    if not found or found[0].id != id:
        fail(f"there is no refused event #{id}; only the latest thousand are kept")
    (one,) = found
    if as_json:
        print_json(one)
        return
    say(f"refused event #{one.id} from {one.source}, received {clock(one.received_at)}", "bold")
    for complaint in one.complaint.split("; "):
        say(complaint, "red")
    say()
    say(_legible(one.event))


def _legible(event: str) -> str:
    """``event``, over several lines if it is JSON."""
    try:
        return json.dumps(json.loads(event), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return event
