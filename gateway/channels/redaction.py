"""Redaction: taking a channel's URL and everything secret in it out of text meant for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote, unquote_plus, urlsplit

MASK = "***"
MIN_SECRET = 4
"""Shorter parts of a URL are left alone: masking every "yes" and "no" would leave nothing to read."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_SPACE_AND_CONTROLS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")

Redact = Callable[[str], str]
"""Text in, the same text without secrets out."""


def redactor(url: str) -> Redact:
    """A function that masks, in any text, every URL and every part of ``url`` that may be secret.

    User, password, path segments and query values count as secret, written plainly or percent-encoded;
    scheme, host and e-mail addresses in the query do not: an operator needs them to act.
    """
    parts = sorted({form for part in _parts(url) for form in (part, unquote(part), unquote_plus(part))}, key=len)
    secrets = [re.escape(part) for part in reversed(parts) if len(part) >= MIN_SECRET]
    if not secrets:
        return lambda text: _URL.sub(MASK, text)
    pattern = re.compile("|".join(secrets))
    return lambda text: pattern.sub(MASK, _URL.sub(MASK, text))


def _parts(url: str) -> Iterator[str]:
    _, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    user_info, _, location = rest.rpartition("@")
    yield from user_info.split(":")
    first, *path = re.split(r"[/#,]", location)
    yield from path
    yield from _host_secrets(first, url)
    for pair in query.split("&"):
        _, _, value = pair.partition("=")
        if "@" not in unquote(value):
            yield value


def _host_secrets(first: str, url: str) -> Iterator[str]:
    """What stands in the host's place, unless it is a host: many services put their first token there."""
    try:
        host = urlsplit(f"//{first}").hostname or ""
    except ValueError:
        host = ""
    is_host = "." in host or host == "localhost" or url.startswith(("http://", "https://"))
    if not is_host:
        yield from first.split(":")


def shortened(text: str, limit: int = 200) -> str:
    """One printable line of at most ``limit`` characters."""
    line = _SPACE_AND_CONTROLS.sub(" ", text).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"
