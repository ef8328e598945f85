"""SmtpSink: a mail server on loopback that keeps what it is given and refuses whom it is told to."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as it was taken: the envelope, the message, and whether it came over TLS."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    tls: bool


class SmtpSink:
    """A mail server on a free port of 127.0.0.1, for the length of a ``with`` block.

    Args:
        refuse: replies to recipients, by address (``{"gone@example.com": "550 no such user"}``).
        login: user and password; without, nobody has to log in.
        tls: a server-side context makes it insist on STARTTLS …
        starttls: … or, when false, speak TLS from the first byte.

    Attributes:
        mails: what was taken, in order.
    """

    def __init__(
        self,
        *,
        refuse: Mapping[str, str] | None = None,
        login: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        starttls: bool = True,
    ) -> None:
        self.mails: list[Mail] = []
        self._handler = _Handler(self.mails, dict(refuse or {}))
        self._login = login
        self._starttls = tls if starttls else None
        self._loop = asyncio.new_event_loop()
        listening = self._loop.create_server(self._protocol, "127.0.0.1", 0, ssl=None if starttls else tls)
        self._server = self._loop.run_until_complete(listening)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def _protocol(self) -> SMTP:
        return SMTP(
            self._handler,
            hostname="localhost",
            loop=self._loop,
            tls_context=self._starttls,
            require_starttls=self._starttls is not None,
            auth_required=self._login is not None,
            auth_require_tls=self._starttls is not None,
            authenticator=self._authenticate,
        )

    def _authenticate(self, server: SMTP, session: Session, envelope: Envelope, way: str, data: Any) -> AuthResult:
        given = (data.login.decode(), data.password.decode()) if isinstance(data, LoginPassword) else None
        # aiosmtpd sends the 535 itself only when a failed login is said not to be handled yet.
        return AuthResult(success=given == self._login, handled=False)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def address(self) -> str:
        """Host and port, for an apprise URL: ``f"mailto://{sink.address}?…"``."""
        return f"127.0.0.1:{self.port}"

    def wait_for(self, count: int, timeout: float = 5.0) -> list[Mail]:
        """The mails taken, once there are ``count`` of them.

        Raises:
            TimeoutError: there are fewer after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while len(self.mails) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.mails)} of {count} mails arrived in {timeout} s")
            time.sleep(POLL_SECONDS)
        return list(self.mails)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class _Handler:
    """aiosmtpd calls these by name."""

    def __init__(self, mails: list[Mail], refuse: Mapping[str, str]) -> None:
        self._mails, self._refuse = mails, refuse

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self._refuse:
            return self._refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content or b""
        raw = content if isinstance(content, bytes) else content.encode()
        message = email.message_from_bytes(raw, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        sender, recipients = envelope.mail_from or "", tuple(envelope.rcpt_tos)
        self._mails.append(Mail(sender, recipients, message, tls=_is_secure(server)))
        return "250 OK"


def _is_secure(server: SMTP) -> bool:
    assert server.transport is not None
    return server.transport.get_extra_info("ssl_object") is not None
