"""SMTP beneath apprise: within the deadline, with cached TLS contexts, and every refusal noted."""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.header import Header, decode_header, make_header
from typing import Any

from gateway.channels.attempt import Fault, PartlyRefused, in_progress, timed


@contextmanager
def _noting(early: bool) -> Iterator[None]:
    try:
        yield
    except (OSError, smtplib.SMTPException) as error:
        in_progress().events.append(Fault(error, early))
        raise


class TlsWish:
    """What apprise asks of ``ssl.create_default_context()``: it only ever says whether to check certificates.

    The contexts behind it are shared and must not be changed, as apprise would.
    """

    def __init__(self) -> None:
        self.check_hostname = True
        self.verify_mode = ssl.CERT_REQUIRED

    def granted(self) -> ssl.SSLContext:
        """The shared context that does what was asked for."""
        return in_progress().transport.tls(verify=self.verify_mode != ssl.CERT_NONE)


class _TimedSMTP(smtplib.SMTP):
    def __init__(self, host: str, port: int, local_hostname: str | None = None, *, timeout: float, **tls: Any) -> None:
        patience = max(min(timeout, in_progress().remaining()), 0.001)
        with _noting(early=True):
            super().__init__(host, port, local_hostname, timeout=patience, **tls)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None:
            assert self.sock is not None
            self.file = timed(self.sock.makefile("rb"), self.sock, in_progress())
        return super().getreply()

    def login(self, user: str, password: str, *, initial_response_ok: bool = True) -> tuple[int, bytes]:
        with _noting(early=True):
            return super().login(user, password, initial_response_ok=initial_response_ok)

    def sendmail(  # type: ignore[override] # as apprise calls it
        self, sender: str, recipients: Any, message: str, *arguments: Any, **options: Any
    ) -> dict[str, tuple[int, bytes]]:
        with _noting(early=False):
            refused = super().sendmail(sender, recipients, folded(message), *arguments, **options)
        if refused:
            in_progress().events.append(PartlyRefused(tuple(code for code, _ in refused.values())))
        return refused


def folded(message: str) -> str:
    """``message`` with its subject in encoded words of a legal length (RFC 2047, section 2).

    apprise writes all of it into one, and a server refuses a line of a thousand characters.
    """
    head, blank, body = message.partition("\n\n")
    subject = _ENCODED_SUBJECT.search(head)
    if subject is None:
        return message
    text = str(make_header(decode_header(subject[1])))
    written = Header(text, "utf-8", header_name="Subject").encode()
    return f"{head[: subject.start(1)]}{written}{head[subject.end(1) :]}{blank}{body}"


_ENCODED_SUBJECT = re.compile(r"^Subject: (=\?\S{70,})$", re.MULTILINE)


class PlainSMTP(_TimedSMTP):
    """``smtplib.SMTP`` for the attempt in progress."""

    def starttls(self, *, context: Any) -> tuple[int, bytes]:  # type: ignore[override] # as apprise calls it
        """Go over to TLS, as ``context`` (a :class:`TlsWish`) asks."""
        with _noting(early=True):
            return super().starttls(context=context.granted())


class SecureSMTP(_TimedSMTP, smtplib.SMTP_SSL):
    """``smtplib.SMTP_SSL`` for the attempt in progress; ``context`` is a :class:`TlsWish`."""

    def __init__(
        self, host: str, port: int, local_hostname: str | None = None, *, timeout: float, context: Any
    ) -> None:
        super().__init__(host, port, local_hostname, timeout=timeout, context=context.granted())
