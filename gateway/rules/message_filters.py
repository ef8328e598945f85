"""The template filters only messages have: they need the message's format or the transition's time."""

from __future__ import annotations

import html
import re
from typing import Any

from gateway.rules import time_filters
from gateway.rules.escape import ESCAPES, INVISIBLE, Verbatim, clean, neutral, one_line
from gateway.rules.filters import DATA, FILTERS, SCALARS, TIMES, Filter, filter_of
from gateway.rules.schema import STR
from gateway.rules.scope import Scope
from gateway.rules.values import as_text, bounded

_WEB_ADDRESS = re.compile(r"https?://[^\s/]", re.IGNORECASE)
_UNSAFE_IN_ADDRESS = re.compile(r"[\s<>\"'\\`|()\[\]]|@(?=everyone|here|channel|all)", re.IGNORECASE)
_FENCE = re.compile(r"`(?=``)")


def relative(scope: Scope, value: object, to: object = None) -> Any:
    """How far a time is from another, or from when the transition happened: 5m ago, in 2h 30m, now."""
    return time_filters.relative(value, scope.occurred_at if to is None else to)


def escape(scope: Scope, value: object) -> Verbatim:
    """The text escaped for the message's format: what every value gets without asking."""
    return Verbatim(bounded(ESCAPES[scope.format](as_text(value))))


def raw(scope: Scope, value: object) -> Verbatim:
    """The text as it is, markup and mentions in force.

    Dangerous with anything that comes from the event: whoever can name a task or raise an error
    then writes links and calls everyone. For texts of your own: `{{ "<!here>" | raw }}`.
    """
    return Verbatim(clean(as_text(value)))


def code(scope: Scope, value: object) -> Verbatim:
    """The text on one line in a fixed-width font, where the format has one."""
    text = one_line(neutral(as_text(value)))
    if scope.format == "html":
        return Verbatim(bounded(f"<code>{html.escape(text)}</code>"))
    if scope.format == "text" or not text:
        return escape(scope, text)
    fence = "``" if "`" in text else "`"
    room = " " if fence == "``" else ""
    return Verbatim(f"{fence}{room}{text.replace('``', '`' + INVISIBLE + '`')}{room}{fence}")


def codeblock(scope: Scope, value: object) -> Verbatim:
    """The text as a block in a fixed-width font, where the format has one: for tracebacks."""
    text = neutral(as_text(value))
    if scope.format == "html":
        return Verbatim(bounded(f"<pre>{html.escape(text)}</pre>"))
    if scope.format == "text":
        return escape(scope, text)
    return Verbatim(f"\n```\n{_FENCE.sub('`' + INVISIBLE, text)}\n```\n")


def link(scope: Scope, value: object, url: str) -> Verbatim:
    """The text as a link: `{{ "the run" | link(obj.url) }}`; only the text where `url` is no web address."""
    label, address = escape(scope, one_line(as_text(value))), as_text(url).strip()
    if not _WEB_ADDRESS.match(address):
        return label
    address = _UNSAFE_IN_ADDRESS.sub(_percent_encoded, clean(address))
    if scope.format == "html":
        return Verbatim(bounded(f'<a href="{html.escape(address)}">{label}</a>'))
    return Verbatim(bounded(f"{label}: {address}" if scope.format == "text" else f"[{label}](<{address}>)"))


def _percent_encoded(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


MESSAGE_FILTERS: dict[str, Filter] = {
    entry.name: entry
    for entry in (
        filter_of("relative", relative, STR, TIMES, given=2),
        filter_of("escape", escape, STR, SCALARS, given=2),
        filter_of("e", escape, STR, SCALARS, given=2),
        filter_of("raw", raw, STR, DATA, given=2),
        filter_of("code", code, STR, SCALARS, given=2),
        filter_of("codeblock", codeblock, STR, SCALARS, given=2),
        filter_of("link", link, STR, SCALARS, given=2),
    )
}
"""These are called with the rendering in progress before the value."""

TEMPLATE_FILTERS: dict[str, Filter] = FILTERS | MESSAGE_FILTERS
"""Every filter a template can use."""
