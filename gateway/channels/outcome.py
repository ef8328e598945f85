"""From what was seen during an attempt to its outcome: what kind of failure, why, and when to try again."""

from __future__ import annotations

import json
import re
import smtplib
import socket
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from urllib3 import exceptions as urllib3

from gateway.channels.attempt import Answer, Attempt, Event, Fault, PartlyRefused
from gateway.channels.base import DELIVERED, Outcome, OutcomeKind
from gateway.channels.reasons import http_reason, smtp_reason
from gateway.channels.redaction import Redact, shortened

Verdict = tuple[OutcomeKind, str]
"""The kind and the reason of an outcome."""

TRY_AGAIN = frozenset({408, 425, 429})
"""HTTP statuses below 500 that say "not now"."""

MEND_THE_CHANNEL = frozenset({401, 403, 404, 407})
"""HTTP statuses that no later message would escape. 404 is one: a channel has one target, so an address
that is not there is the channel's fault, never the message's."""

NO_LOGIN = frozenset({530, 534, 535, 538})
"""SMTP replies about the login, whenever they come."""

FAULTS: tuple[tuple[tuple[type[BaseException], ...], OutcomeKind, str], ...] = (
    ((ssl.SSLEOFError,), "unknown", "reset"),
    ((ssl.SSLError, ssl.CertificateError, urllib3.SSLError, requests.exceptions.SSLError), "channel", "tls"),
    ((socket.gaierror, urllib3.NameResolutionError), "temporary", "dns"),
    ((urllib3.ProxyError, requests.exceptions.ProxyError), "temporary", "proxy"),
    ((ConnectionRefusedError,), "temporary", "refused"),
    ((urllib3.NewConnectionError,), "temporary", "unreachable"),
    ((urllib3.ConnectTimeoutError, requests.ConnectTimeout), "temporary", "connect_timeout"),
    ((smtplib.SMTPNotSupportedError,), "channel", "smtp_unsupported"),
    ((urllib3.ReadTimeoutError, requests.ReadTimeout, TimeoutError), "unknown", "read_timeout"),
    ((smtplib.SMTPServerDisconnected, ConnectionError, urllib3.ProtocolError), "unknown", "reset"),
    ((urllib3.DecodeError,), "unknown", "reset"),
    ((requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema), "channel", "bad_address"),
    ((requests.exceptions.MissingSchema, requests.exceptions.InvalidHeader), "channel", "bad_address"),
    ((requests.ConnectionError,), "unknown", "reset"),
    ((OSError,), "temporary", "unreachable"),
)
"""What an error means: the first row of which any error in the chain is an instance."""

_TOO_MANY: Verdict = ("temporary", "rate_limited")
_SERVICE_ERROR: Verdict = ("temporary", "service_error")
_UNAUTHORIZED: Verdict = ("channel", "unauthorized")
_NO_TARGET: Verdict = ("channel", "no_such_target")
_BAD_MESSAGE: Verdict = ("permanent", "bad_message")

REJECTIONS: Mapping[str, Verdict] = {
    **dict.fromkeys(("ratelimited", "rate_limited", "message_limit_exceeded"), _TOO_MANY),
    **dict.fromkeys(("fatal_error", "internal_error", "service_unavailable", "request_timeout"), _SERVICE_ERROR),
    **dict.fromkeys(("team_added_to_org", "rollup_error"), _SERVICE_ERROR),
    **dict.fromkeys(("invalid_auth", "not_authed", "account_inactive", "access_denied"), _UNAUTHORIZED),
    **dict.fromkeys(("token_revoked", "token_expired", "invalid_token", "no_permission"), _UNAUTHORIZED),
    **dict.fromkeys(("missing_scope", "not_allowed_token_type", "org_login_required"), _UNAUTHORIZED),
    **dict.fromkeys(("ekm_access_denied", "two_factor_setup_required", "action_prohibited"), _UNAUTHORIZED),
    **dict.fromkeys(("channel_not_found", "is_archived", "channel_is_archived", "not_in_channel"), _NO_TARGET),
    **dict.fromkeys(("user_not_found", "no_service", "no_active_hooks", "restricted_action"), _NO_TARGET),
    **dict.fromkeys(("msg_too_long", "no_text", "too_many_attachments", "invalid_blocks"), _BAD_MESSAGE),
    **dict.fromkeys(("invalid_payload", "invalid_arguments", "invalid_blocks_format"), _BAD_MESSAGE),
}
"""What the error codes mean that Slack sends with status 200."""

HINTS: tuple[tuple[str, Verdict], ...] = (
    ("refused", ("temporary", "refused")),
    ("name or service not known", ("temporary", "dns")),
    ("name resolution", ("temporary", "dns")),
    ("certificate", ("channel", "tls")),
    ("unreachable", ("temporary", "unreachable")),
    ("no route to host", ("temporary", "unreachable")),
    ("timed out", ("temporary", "connect_timeout")),
    ("reset by peer", ("unknown", "reset")),
    ("broken pipe", ("unknown", "reset")),
)
"""What can be read off the log of plugins that bring their own sockets (mqtt, irc, xmpp …)."""

_SECONDS = re.compile(r"\s*[0-9]{1,9}(\.[0-9]{1,9})?\s*")


def classify(delivered: bool, attempt: Attempt, redact: Redact, now: datetime) -> Outcome:
    """The outcome of ``attempt``.

    Args:
        delivered: what the plugin reported. Only a no is looked into.
        attempt: what was seen on the wire.
        redact: takes the channel's secrets out of the detail.
        now: the time from which a ``Retry-After`` given as a date counts.
    """
    if delivered:
        return DELIVERED
    event = decisive(attempt.events)
    kind, reason = _verdict(event, attempt.notes)
    detail = shortened(redact(_detail(event, attempt.notes)))
    wait = retry_after(event, now) if kind == "temporary" and isinstance(event, Answer) else None
    return Outcome(kind, reason, detail, wait)


def decisive(events: list[Event]) -> Event | None:
    """The last event that is a failure; the last of all when each by itself went well."""
    failures = [event for event in events if not isinstance(event, Answer) or not 200 <= event.status < 300]
    candidates = failures or events
    return candidates[-1] if candidates else None


def _verdict(event: Event | None, notes: list[str]) -> Verdict:
    match event:
        case Answer(status, _, body) if 200 <= status < 300:
            return REJECTIONS.get(_rejection_code(body), ("permanent", "rejected"))
        case Answer(status):
            return _of_status(status), http_reason(status)
        case Fault(smtplib.SMTPRecipientsRefused() as error):
            return _of_replies([code for code, _ in error.recipients.values()], early=False)
        case Fault(smtplib.SMTPResponseException() as error, early):
            return _of_replies([error.smtp_code], early)
        case Fault(error, early):
            return _of_error(error, early)
        case PartlyRefused():
            return "permanent", "partly_refused"
        case None:
            return _of_notes(notes)


def _of_status(status: int) -> OutcomeKind:
    if status >= 500 or status in TRY_AGAIN:
        return "temporary"
    return "channel" if 300 <= status < 400 or status in MEND_THE_CHANNEL else "permanent"


def _of_replies(codes: list[int], early: bool) -> Verdict:
    """A no to the whole connection is the channel's matter, one to a message that message's."""
    code = min(codes, default=0)
    if code in NO_LOGIN or (early and code >= 500):
        return "channel", smtp_reason(code)
    return "permanent" if code >= 500 else "temporary", smtp_reason(code)


def _of_error(error: BaseException, early: bool) -> Verdict:
    kind, reason, _ = _root(error)
    return "temporary" if early and kind == "unknown" else kind, reason


def _root(error: BaseException) -> tuple[OutcomeKind, str, BaseException]:
    """What ``error`` means, and the error deepest in its chain that says so."""
    chain = tuple(_chain(error))
    for types, kind, reason in FAULTS:
        if telling := [link for link in chain if isinstance(link, types)]:
            return kind, reason, telling[-1]
    return "temporary", "plugin_error", error


def _chain(error: BaseException) -> Iterator[BaseException]:
    """``error`` and the errors behind it: urllib3 and requests wrap them in causes, reasons and arguments."""
    waiting, seen = [error], set[int]()
    while waiting:
        link = waiting.pop()
        if id(link) not in seen:
            seen.add(id(link))
            yield link
            behind = (link.__cause__, link.__context__, getattr(link, "reason", None), *link.args)
            waiting += [item for item in behind if isinstance(item, BaseException)]


def _of_notes(notes: list[str]) -> Verdict:
    text = "\n".join(notes).lower()
    return next((verdict for sign, verdict in HINTS if sign in text), ("temporary", "unexplained"))


def _rejection_code(body: bytes) -> str:
    answer = _json(body)
    code = answer.get("error") if answer else body[:100].decode("utf-8", "replace").strip()
    return code if isinstance(code, str) else ""


def _detail(event: Event | None, notes: list[str]) -> str:
    match event:
        case Answer(status, _, body):
            return f"HTTP {status} {body[:1000].decode('utf-8', 'replace')}"
        case Fault(smtplib.SMTPRecipientsRefused() as error):
            return "; ".join(_reply(code, text) for code, text in error.recipients.values())
        case Fault(smtplib.SMTPResponseException() as error):
            return _reply(error.smtp_code, error.smtp_error)
        case Fault(error):
            root = _root(error)[2]
            return f"{type(root).__name__}: {root}"
        case PartlyRefused(codes):
            return f"refused for {len(codes)} recipients with {', '.join(map(str, sorted(set(codes))))}"
        case None:
            return "; ".join(notes)


def _reply(code: int, text: bytes | str) -> str:
    return f"{code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"


def retry_after(answer: Answer, now: datetime) -> float | None:
    """Seconds the service asked us to wait: its ``Retry-After`` header, or what its JSON says."""
    if answer.retry_after is not None:
        return _of_header(answer.retry_after, now)
    body = _json(answer.body)
    parameters = body.get("parameters")
    nested = parameters if isinstance(parameters, dict) else {}
    seconds = _number(body.get("retry_after"), nested.get("retry_after"))
    milliseconds = _number(body.get("retry_after_ms"))
    return seconds if milliseconds is None else milliseconds / 1000


def _of_header(value: str, now: datetime) -> float | None:
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        due = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    due = due if due.tzinfo else due.replace(tzinfo=UTC)
    return max(0.0, (due - now).total_seconds())


def _number(*candidates: object) -> float | None:
    numbers = (value for value in candidates if isinstance(value, (int, float)) and not isinstance(value, bool))
    return next((float(value) for value in numbers if 0 <= value < float("inf")), None)


def _json(body: bytes) -> dict[str, Any]:
    """The body if it is a JSON object, else an empty one."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
