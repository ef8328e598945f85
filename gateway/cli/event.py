"""The argument EVENT: a transition out of a file, standard input, the command line or the store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import USAGE, fail
from gateway.cli.stored import reader
from gateway.delivery.payload import decode
from gateway.errors import PayloadError
from gateway.sources.payload import parse_transition
from gateway.store.questions import Questions
from gateway.store.rows import TransitionRow
from gateway.transition import Transition

_MOST_DIGITS = 18
"""A database takes no larger number."""

EventArgument = Annotated[
    str,
    typer.Argument(
        metavar="EVENT",
        help="A JSON file, - for standard input, or JSON that starts with {; or the id of a transition "
        "in the store, or the number of a delivery as #12.",
        show_default=False,
    ),
]


def read_event(argument: str, config: Path) -> Transition:
    """The transition ``argument`` stands for; ends the command if there is none."""
    if argument == "-":
        return _parsed(sys.stdin.buffer.read(), "standard input")
    if argument.lstrip().startswith("{"):
        return _parsed(argument.encode("utf-8", "surrogateescape"), "the event")
    if not argument.startswith("#") and Path(argument).exists():
        return _parsed(Path(argument).read_bytes(), argument)
    return _stored(argument, config)


def _parsed(data: bytes, origin: str) -> Transition:
    try:
        return parse_transition(data)
    except PayloadError as error:
        fail("\n  ".join([f"{origin} is not a transition:", *error.complaints]))


def _stored(argument: str, config: Path) -> Transition:
    with reader(config) as store:
        row = _row(store, argument) if store else None
    if row is None:
        fail(_nothing(argument), USAGE)
    return decode(row.payload)


def _row(store: Questions, argument: str) -> TransitionRow | None:
    if not argument.startswith("#"):
        return store.transition(argument)
    history = store.history(delivery_number(argument))
    return None if history is None else history.transition


def _nothing(argument: str) -> str:
    if argument.startswith("#"):
        return f"there is no delivery {argument}"
    return f"there is no file {argument!r}, nor a transition of this id in the store"


def delivery_number(text: str) -> int:
    """The number in ``#12`` or ``12``; anything else is wrong usage."""
    digits = text.removeprefix("#")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS):
        raise typer.BadParameter(f"{text!r} is not the number of a delivery; right is 12 or '#12'")
    return int(digits)


def what_happened(transition: Transition) -> str:
    """One line on what happened: ``task load of flow etl: Running → Failed``."""
    obj, old = transition.obj, transition.old_state
    of_flow = f" of flow {transition.flow.name}" if obj.kind == "task" and transition.flow.name else ""
    before = "?" if old is None else old.type
    return f"{obj.kind} {obj.name}{of_flow}: {before} → {transition.state.type}"
