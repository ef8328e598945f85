"""From what was seen to the outcome."""

from __future__ import annotations

import smtplib
import socket
import ssl
from datetime import UTC, datetime
from typing import get_args

import pytest
import requests

from gateway.channels.attempt import Answer, Attempt, Event, Fault, PartlyRefused
from gateway.channels.base import OutcomeKind
from gateway.channels.outcome import FAULTS, HINTS, REJECTIONS, classify, retry_after
from gateway.channels.reasons import REASONS
from gateway.channels.transport import shared_transport

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def outcome(*events: Event, notes: tuple[str, ...] = (), delivered: bool = False):  # type: ignore[no-untyped-def]
    attempt = Attempt(0, shared_transport(), events=list(events), notes=list(notes))
    return classify(delivered, attempt, lambda text: text.replace("s3cret", "***"), NOW)


def answered(status: int, body: bytes = b"", retry_after: str | None = None) -> Answer:
    return Answer(status, retry_after, body)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *[(status, "temporary") for status in (408, 425, 429, 500, 502, 503, 504, 599)],
        *[(status, "permanent") for status in (400, 402, 410, 413, 415, 422)],
        *[(status, "channel") for status in (301, 302, 307, 308, 401, 403, 404, 407)],
    ],
)
def test_the_status_decides_who_is_at_fault(status: int, kind: str) -> None:
    assert outcome(answered(status)).kind == kind


def test_a_yes_is_a_yes_whatever_was_seen_on_the_way() -> None:
    assert outcome(answered(500), delivered=True).kind == "delivered"


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (socket.gaierror("unknown"), "temporary", "dns"),
        (ConnectionRefusedError(), "temporary", "refused"),
        (OSError("no route"), "temporary", "unreachable"),
        (requests.ConnectTimeout(), "temporary", "connect_timeout"),
        (requests.ReadTimeout(), "unknown", "read_timeout"),
        (TimeoutError(), "unknown", "read_timeout"),
        (ConnectionResetError(), "unknown", "reset"),
        (requests.ConnectionError(ConnectionResetError()), "unknown", "reset"),
        (ssl.SSLCertVerificationError("self-signed"), "channel", "tls"),
        (requests.exceptions.SSLError(ssl.SSLError("handshake")), "channel", "tls"),
        (requests.exceptions.InvalidURL(), "channel", "bad_address"),
        (requests.exceptions.ProxyError(), "temporary", "proxy"),
        (smtplib.SMTPNotSupportedError(), "channel", "smtp_unsupported"),
        (smtplib.SMTPServerDisconnected(), "unknown", "reset"),
        (KeyError("oops"), "temporary", "plugin_error"),
    ],
)
def test_an_error_tells_whether_the_message_may_have_arrived(error: Exception, kind: str, reason: str) -> None:
    found = outcome(Fault(error))

    assert (found.kind, found.reason) == (kind, reason)


def test_before_anything_was_sent_a_timeout_is_no_mystery() -> None:
    assert outcome(Fault(TimeoutError(), early=True)).kind == "temporary"


@pytest.mark.parametrize(
    ("event", "kind", "reason"),
    [
        (Fault(smtplib.SMTPAuthenticationError(535, b"no"), early=True), "channel", "smtp_535"),
        (Fault(smtplib.SMTPAuthenticationError(454, b"later"), early=True), "temporary", "smtp_454"),
        (Fault(smtplib.SMTPConnectError(554, b"go away"), early=True), "channel", "smtp_554"),
        (Fault(smtplib.SMTPDataError(554, b"spam")), "permanent", "smtp_554"),
        (Fault(smtplib.SMTPSenderRefused(530, b"log in", "a@b")), "channel", "smtp_530"),
        (Fault(smtplib.SMTPResponseException(599, "odd")), "permanent", "smtp_other"),
        (Fault(smtplib.SMTPRecipientsRefused({"a@b": (550, b"gone")})), "permanent", "smtp_550"),
        (
            Fault(smtplib.SMTPRecipientsRefused({"a@b": (550, b"gone"), "c@d": (451, b"later")})),
            "temporary",
            "smtp_451",
        ),
        (PartlyRefused((550,)), "permanent", "partly_refused"),
    ],
)
def test_replies_of_mail_servers(event: Event, kind: str, reason: str) -> None:
    found = outcome(event)

    assert (found.kind, found.reason) == (kind, reason)


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b'{"ok": false, "error": "ratelimited"}', "temporary", "rate_limited"),
        (b'{"ok": false, "error": "invalid_auth"}', "channel", "unauthorized"),
        (b'{"ok": false, "error": "channel_not_found"}', "channel", "no_such_target"),
        (b'{"ok": false, "error": "msg_too_long"}', "permanent", "bad_message"),
        (b'{"ok": false, "error": "something_new"}', "permanent", "rejected"),
        (b'{"error": {"code": 7}}', "permanent", "rejected"),
        (b"no_active_hooks", "channel", "no_such_target"),
        (b"[" * 100_000, "permanent", "rejected"),
        (b"\xff\xfe", "permanent", "rejected"),
    ],
)
def test_an_answer_of_200_that_the_plugin_takes_for_a_no(body: bytes, kind: str, reason: str) -> None:
    found = outcome(answered(200, body))

    assert (found.kind, found.reason) == (kind, reason)


def test_the_failed_piece_of_a_split_message_decides() -> None:
    assert outcome(answered(200), answered(429), answered(200)).reason == "http_429"


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        ("Socket Exception: [Errno 111] Connection refused", "refused"),
        ("Socket Exception: [Errno -2] Name or service not known", "dns"),
        ("Socket Exception: timed out", "connect_timeout"),
        ("it did not work", "unexplained"),
    ],
)
def test_without_any_event_the_log_is_read(note: str, reason: str) -> None:
    found = outcome(notes=(note,))

    assert (found.kind, found.reason, found.detail) == ("temporary", reason, note)


@pytest.mark.parametrize(
    ("header", "body", "seconds"),
    [
        ("7", b"", 7.0),
        ("0.65", b"", 0.65),
        (" 3 ", b"", 3.0),
        ("Sun, 01 Mar 2026 12:01:30 GMT", b"", 90.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", b"", 0.0),
        ("Sun, 01 Mar 2026 12:00:10 -0000", b"", 10.0),
        ("soon", b"", None),
        ("-5", b"", None),
        ("nan", b"", None),
        ("1e999", b"", None),
        (None, b'{"retry_after": 1.5}', 1.5),
        (None, b'{"parameters": {"retry_after": 4}}', 4.0),
        (None, b'{"retry_after_ms": 250}', 0.25),
        (None, b'{"retry_after": "soon"}', None),
        (None, b'{"retry_after": true}', None),
        (None, b'{"retry_after": -1}', None),
        (None, b'{"parameters": 3}', None),
        (None, b"later", None),
        (None, b"", None),
    ],
)
def test_how_long_to_wait_is_read_from_header_or_body(header: str | None, body: bytes, seconds: float | None) -> None:
    assert retry_after(answered(429, body, header), NOW) == seconds


def test_only_a_temporary_failure_asks_to_wait() -> None:
    assert outcome(answered(401, b"", "30")).retry_after is None
    assert outcome(answered(503, b"", "30")).retry_after == 30


def test_the_detail_is_one_short_line_without_secrets() -> None:
    found = outcome(answered(400, b"bad token s3cret\n" + b"x" * 2000))

    assert found.detail.startswith("HTTP 400 bad token *** xxx")
    assert len(found.detail) <= 200


def test_every_reason_given_is_a_documented_one() -> None:
    given = {reason for _, _, reason in FAULTS} | {reason for _, reason in REJECTIONS.values()}
    given |= {reason for _, (_, reason) in HINTS} | {"rejected", "plugin_error", "unexplained", "partly_refused", "ok"}

    assert given <= REASONS.keys()
    kinds = {kind for _, kind, _ in FAULTS} | {kind for kind, _ in REJECTIONS.values()}
    assert kinds <= set(get_args(OutcomeKind))
    for status in (200, 299, 302, 404, 418, 500, 599, 999):
        assert outcome(answered(status)).reason in REASONS
