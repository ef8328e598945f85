"""What arrived at the demo's servers, shown as it came over the wire."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable

from gateway.cli.output import say
from gateway.testing import Mail, Received

_HEADERS_OF_MAIL = ("From", "To", "Subject", "Content-Type")
_INDENT = "   "


def print_request(request: Received) -> None:
    """An HTTP request: request line, headers that matter, the body as JSON."""
    say(f"{request.method} {request.path} HTTP/1.1", "cyan")
    for name in ("host", "content-type"):
        say(f"{_INDENT}{name.title()}: {request.headers.get(name, '')}")
    say()
    _say_indented(json.dumps(_essence(request.json()), indent=2, ensure_ascii=False))


def print_gist(request: Received) -> None:
    """An HTTP request in one line, by the titles and texts in its body."""
    texts = [attachment[key] for attachment in request.json()["attachments"] for key in ("title", "text")]
    say(f"{_INDENT}{' | '.join(texts)}".replace("\n", " "))


def print_exchange(path: str, event: object, answers: Iterable[tuple[str, str]]) -> None:
    """A request with an event, and what it was answered each time it was sent."""
    say(f"POST {path} HTTP/1.1", "cyan")
    _say_indented(json.dumps(event))
    for status, body in answers:
        say(f"HTTP/1.1 {status}", "cyan")
        _say_indented(body)


def _essence(value: object) -> object:
    """The JSON without what is empty."""
    if isinstance(value, dict):
        return {key: _essence(item) for key, item in value.items() if item not in ("", None, [], {})}
    if isinstance(value, list):
        return [_essence(item) for item in value]
    return value


def print_mail(mail: Mail) -> None:
    """A mail: its envelope, the headers that matter, the text."""
    say(f"MAIL FROM:<{mail.sender}> RCPT TO:<{'>, <'.join(mail.recipients)}>", "cyan")
    for name in _HEADERS_OF_MAIL:
        say(f"{_INDENT}{name}: {mail.message[name]}")
    say()
    _say_indented(text_of(mail))


def text_of(mail: Mail) -> str:
    """The text of a mail, the plain one if there are several."""
    body = mail.message.get_body(("plain", "html"))
    content = body.get_content() if body is not None else ""
    return "\n".join(str(content).strip().splitlines())


def _say_indented(text: str) -> None:
    say(textwrap.indent(text, _INDENT))
