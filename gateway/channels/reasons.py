"""The closed set of reasons an outcome may give: fit for a metric label, each explained once."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

SMTP_REPLIES: Mapping[int, str] = {
    421: "the server is closing the connection",
    450: "the mailbox is busy",
    451: "the server had an error of its own",
    452: "the server has no room",
    454: "logging in fails for the moment",
    500: "the command was not understood",
    501: "the address or parameter was not understood",
    502: "the command is not offered",
    503: "the commands came in the wrong order",
    504: "the parameter is not offered",
    521: "the server takes no mail",
    530: "the server wants a login or TLS first",
    534: "the way of logging in is too weak",
    535: "user or password is wrong",
    538: "the way of logging in needs TLS",
    550: "the mailbox does not exist or refuses",
    551: "the mailbox is elsewhere",
    552: "the mailbox is full or the message too large",
    553: "the mailbox name is not allowed",
    554: "the message or the connection was refused",
    556: "the domain takes no mail",
}
"""The SMTP reply codes that have a reason of their own."""

REASONS: Mapping[str, str] = {
    "ok": "the service took the message",
    **{f"http_{status.value}": status.phrase for status in HTTPStatus if status >= 300},
    "http_other": "an HTTP status outside the registered ones",
    **{f"smtp_{code}": meaning for code, meaning in SMTP_REPLIES.items()},
    "smtp_other": "an SMTP reply outside the listed ones",
    "smtp_unsupported": "the mail server does not offer STARTTLS or the way of logging in",
    "partly_refused": "some recipients were taken, others refused",
    "rate_limited": "the service took too many messages lately",
    "unauthorized": "the service does not accept the credentials or grants too little",
    "no_such_target": "the service does not know the room, user or topic",
    "bad_message": "the service does not take this message as it is",
    "service_error": "the service reported an error of its own",
    "rejected": "the service answered, and the answer was no",
    "tls": "the certificate or the TLS handshake was refused",
    "dns": "the host name does not resolve",
    "refused": "nobody listens on that port",
    "unreachable": "there is no way to the host",
    "connect_timeout": "the connection was not established in time",
    "proxy": "the proxy did not pass the request on",
    "bad_address": "the address is not one that can be connected to",
    "read_timeout": "no complete answer in time",
    "reset": "the connection broke before the answer",
    "plugin_error": "the library that speaks to the service failed",
    "stuck": "the library that speaks to the service did not return, long after its time was up",
    "unexplained": "the library reported a failure and no cause",
    "empty": "the message has neither title nor body",
    "write_failed": "the stream could not be written to",
    "asked_to_fail": "a recording channel was told to fail",
}
"""Every reason an :class:`~gateway.channels.base.Outcome` may carry, and what it means."""


def http_reason(status: int) -> str:
    """The reason for an HTTP status."""
    return _known(f"http_{status}", "http_other")


def smtp_reason(code: int) -> str:
    """The reason for an SMTP reply code."""
    return _known(f"smtp_{code}", "smtp_other")


def _known(reason: str, other: str) -> str:
    return reason if reason in REASONS else other
