"""Commands that show what handlers would say, and send nothing: explain and render."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.text import Text

from gateway.channels.base import Message
from gateway.channels.console import block
from gateway.cli.configuration import sound_ruleset
from gateway.cli.event import EventArgument, read_event, what_happened
from gateway.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from gateway.cli.output import FINDINGS, USAGE, clock, fail, print_json, say, table
from gateway.compile import Handler, Ruleset
from gateway.encoding import encode
from gateway.errors import RenderError
from gateway.explain import Explanation, WouldSend
from gateway.explain import explain as explanations_of
from gateway.format import Format
from gateway.spelling import no_such
from gateway.transition import Transition

YES, NO = Text("yes", "green"), Text("no", "dim")


def explain(event: EventArgument, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show what would be sent for an event, and why not more.

    Each handler is asked as in a running gateway; those that stay silent say why. Nothing is sent
    or kept, and no secret is needed. Exit code 1 if a check or a template fails on this event.
    """
    ruleset = sound_ruleset(config)
    transition = read_event(event, config)
    explanations = explanations_of(ruleset, transition)
    if as_json:
        print_json({"transition": json.loads(encode(transition)), "handlers": explanations})
    else:
        _show(transition, explanations)
    if any(one.failed or any(message.error for message in one.messages) for one in explanations):
        raise typer.Exit(FINDINGS)


def _show(transition: Transition, explanations: Iterable[Explanation]) -> None:
    explained = list(explanations)
    say(what_happened(transition), "bold")
    say(f"at {clock(transition.occurred_at)}, id {transition.id}\n", "dim")
    print_explanations(explained)
    for one in explained:
        for to, message in _texts(one.messages):
            say()
            say(_block(one.handler, to, message))


def print_explanations(explanations: Iterable[Explanation]) -> None:
    """A table of who fires and why the others do not."""
    table(
        ("handler", "fires", "why", "tells"),
        [(one.handler, YES if one.fires else NO, one.why, _told(one.messages)) for one in explanations],
    )


def _told(messages: Iterable[WouldSend]) -> str:
    return ", ".join(message.channel for message in messages)


def _texts(messages: Iterable[WouldSend]) -> list[tuple[str, WouldSend]]:
    """Each different text once, with the channels that would get it."""
    channels: dict[tuple[str, str, str], list[str]] = {}
    by_text = {}
    for message in messages:
        text = (message.format, message.title, message.message)
        channels.setdefault(text, []).append(message.channel)
        by_text[text] = message
    return [(", ".join(channels[text]), message) for text, message in by_text.items()]


def _block(handler: str, channels: str, message: WouldSend) -> str:
    headline = f"{handler} → {channels} · {message.format}"
    return block(headline, Message(message.message, message.title, message.severity)).rstrip("\n")


def render(
    handler: Annotated[str, typer.Argument(metavar="HANDLER", help="The name of a handler.", show_default=False)],
    event: EventArgument,
    format: Annotated[Format, typer.Option("--format", help="What to render as.")] = "text",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Print a handler's title and message for an event.

    It does not matter whether the handler would fire. Values are escaped as for a channel of the
    given format. Exit code 1 if the template fails.
    """
    found = _handler(sound_ruleset(config), handler)
    transition = read_event(event, config)
    try:
        rendered = found.render(transition, format)
    except RenderError as error:
        fail(f"the template of handler {handler!r} fails on this event: {error}")
    if as_json:
        print_json(rendered)
    else:
        say(f"{rendered.title}\n\n{rendered.message}" if rendered.title else rendered.message)


def _handler(ruleset: Ruleset, name: str) -> Handler:
    found = ruleset.handler(name)
    if found is not None:
        return found
    declared = [written.name for written in ruleset.config.handlers]
    return fail(f"the handler {name!r} is off" if name in declared else no_such("handler", name, declared), USAGE)
