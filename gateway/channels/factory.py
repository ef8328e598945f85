"""Factory: from a channel's URL to the channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.channels.base import Channel, Overflow
from gateway.channels.console import ConsoleChannel
from gateway.channels.record import RecordChannel
from gateway.errors import ChannelError
from gateway.format import Format

if TYPE_CHECKING:
    from gateway.channels.transport import Transport


def build(
    name: str,
    url: str,
    *,
    format: Format | None = None,
    timeout: float = 30.0,
    overflow: Overflow = "split",
    transport: Transport | None = None,
) -> Channel:
    """The channel ``name`` that sends to ``url``, without connecting to anything yet.

    Args:
        name: what the configuration calls it.
        url: ``console://``, ``record://BUCKET`` or an apprise URL with one target; secrets filled in.
        format: what its messages are rendered as; plain text unless the URL says ``format``.
        timeout: longest wait for an answer, in seconds.
        overflow: ``"split"`` or ``"truncate"`` messages over the service's limit.
        transport: where connections come from; the process's own unless given.

    Raises:
        ChannelError: the URL cannot be used. The error never shows it.
    """
    match url.strip().partition("://")[0].lower():
        case "console":
            return ConsoleChannel.from_url(name, url, format or "text")
        case "record":
            return RecordChannel.from_url(name, url, format or "text")
    from gateway.channels.apprise import AppriseChannel  # late: apprise and requests cost 100 ms and 20 MB

    return AppriseChannel(name, url, format=format, timeout=timeout, overflow=overflow, transport=transport)


def check_url(url: str) -> list[str]:
    """Every reason why ``url`` cannot be used; none of them shows it. Empty when it can."""
    try:
        build("check", url).close()
    except ChannelError as error:
        return list(error.reasons)
    return []
