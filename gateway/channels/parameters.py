"""Parameters of the URLs of built-in channels: ``record://ci?fail=1``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import parse_qsl, urlsplit

from gateway.errors import ChannelError


def read_url(url: str, allowed: Collection[str]) -> tuple[str, Mapping[str, str]]:
    """The name in the host's place, as written, and the query's parameters.

    Raises:
        ChannelError: it is not a URL, or has a parameter that is not ``allowed``.
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        raise ChannelError(["not a URL"]) from None
    given = parse_qsl(parts.query, keep_blank_values=True)
    takes = f"it takes {', '.join(sorted(allowed))}" if allowed else "it takes none"
    reasons = [f"unknown parameter in {parts.scheme}://; {takes}" for name, _ in given if name not in allowed]
    if reasons:
        raise ChannelError(list(dict.fromkeys(reasons)))
    return parts.netloc, dict(given)
