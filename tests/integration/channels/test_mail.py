"""Mail to a real server on loopback."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest

from gateway.channels import DELIVERED, Message, Outcome, build
from gateway.channels.transport import Transport
from gateway.testing import SmtpSink

HELLO = Message("line one\nline two", "greeting")
REFUSALS = {
    "gone@example.com": "550 5.1.1 no such user",
    "busy@example.com": "451 4.7.1 try again later",
    "full@example.com": "452 4.2.2 mailbox full",
}


def url(server: SmtpSink, to: str = "ana@example.com", **query: str) -> str:
    settings = {"from": "gateway@example.com", "to": to, "mode": "insecure", **query}
    return f"mailto://{server.address}/?" + "&".join(f"{name}={value}" for name, value in settings.items())


def verdict(outcome: Outcome) -> tuple[str, str]:
    return outcome.kind, outcome.reason


@pytest.fixture
def server() -> Iterator[SmtpSink]:
    with SmtpSink(refuse=REFUSALS) as running:
        yield running


@contextlib.contextmanager
def speaking(*lines: bytes, every: float = 0.0) -> Iterator[int]:
    """A "mail server" that says ``lines`` to whoever connects, byte by byte if ``every`` is given, then nothing."""
    over = threading.Event()

    def talk() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                for line in lines:
                    for piece in (line[i : i + 1] for i in range(len(line))) if every else (line,):
                        connection.sendall(piece)
                        over.wait(every)
                over.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=talk)
        thread.start()
        yield listener.getsockname()[1]
        over.set()
    thread.join()


def test_a_mail_arrives_with_subject_and_text(server: SmtpSink) -> None:
    assert build("mail", url(server)).send(HELLO, 5) == DELIVERED

    [mail] = server.wait_for(1)
    assert (mail.sender, mail.recipients, mail.tls) == ("gateway@example.com", ("ana@example.com",), False)
    assert mail.message["Subject"] == "greeting"
    assert mail.message.get_content().splitlines() == ["line one", "line two"]


def test_markdown_arrives_as_html_and_text(server: SmtpSink) -> None:
    build("mail", url(server), format="markdown").send(Message("**bold**", format="markdown"), 5)

    parts = {
        part.get_content_type(): part.get_content()
        for part in server.mails[0].message.walk()
        if not part.is_multipart()
    }
    assert "<strong>bold</strong>" in parts["text/html"]
    assert "bold" in parts["text/plain"]


def test_a_title_cannot_add_headers(server: SmtpSink) -> None:
    build("mail", url(server)).send(Message("x", "hello\r\nBcc: eve@example.com"), 5)

    [mail] = server.mails
    assert mail.recipients == ("ana@example.com",)
    assert mail.message["Bcc"] is None


@pytest.mark.parametrize(
    ("to", "expected", "detail"),
    [
        ("gone@example.com", ("permanent", "smtp_550"), "550 5.1.1 no such user"),
        ("busy@example.com", ("temporary", "smtp_451"), "451 4.7.1 try again later"),
        ("full@example.com", ("temporary", "smtp_452"), "452 4.2.2 mailbox full"),
    ],
)
def test_a_refused_recipient_is_told_by_its_reply(
    server: SmtpSink, to: str, expected: tuple[str, str], detail: str
) -> None:
    outcome = build("mail", url(server, to)).send(HELLO, 5)

    assert (verdict(outcome), outcome.detail) == (expected, detail)


def test_a_mail_that_only_some_recipients_got_is_not_sent_again(server: SmtpSink) -> None:
    outcome = build("mail", url(server, cc="gone@example.com")).send(HELLO, 5)

    assert verdict(outcome) == ("permanent", "partly_refused")
    assert outcome.detail == "refused for 1 recipients with 550"
    assert server.mails[0].recipients == ("ana@example.com",)


def test_mail_over_starttls_with_a_login(server_tls: ssl.SSLContext, trusting: Transport) -> None:
    with SmtpSink(login=("gw", "s3cret"), tls=server_tls) as server:
        address = url(server, mode="starttls").replace("mailto://", "mailtos://gw:s3cret@")

        assert build("mail", address, transport=trusting).send(HELLO, 5) == DELIVERED
        assert server.mails[0].tls


def test_mail_over_tls_from_the_first_byte(server_tls: ssl.SSLContext, trusting: Transport) -> None:
    with SmtpSink(tls=server_tls, starttls=False) as server:
        assert build("mail", url(server, mode="ssl"), transport=trusting).send(HELLO, 5) == DELIVERED
        assert server.mails[0].tls

        outcome = build("mail", url(server, mode="ssl")).send(HELLO, 5)
        assert verdict(outcome) == ("channel", "tls")


def test_a_wrong_password_is_the_channel_s_matter(server_tls: ssl.SSLContext, trusting: Transport) -> None:
    with SmtpSink(login=("gw", "s3cret"), tls=server_tls) as server:
        address = url(server, mode="starttls").replace("mailto://", "mailtos://gw:wr0ngword@")

        outcome = build("mail", address, transport=trusting).send(HELLO, 5)

    assert verdict(outcome) == ("channel", "smtp_535")
    assert "wr0ngword" not in outcome.detail


def test_an_unknown_authority_parks_the_channel_unless_told_otherwise(server_tls: ssl.SSLContext) -> None:
    with SmtpSink(tls=server_tls) as server:
        careful = build("mail", url(server, mode="starttls"))
        careless = build("mail", url(server, mode="starttls", verify="no"))

        for _ in range(2):
            assert verdict(careful.send(HELLO, 5)) == ("channel", "tls")
            assert careless.send(HELLO, 5) == DELIVERED


def test_a_server_without_starttls_is_the_channel_s_matter(server: SmtpSink) -> None:
    assert verdict(build("mail", url(server, mode="starttls")).send(HELLO, 5)) == ("channel", "smtp_unsupported")


def test_a_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    address = f"mailto://127.0.0.1:{port}/?from=a@example.com&to=b@example.com&mode=insecure"

    assert verdict(build("mail", address).send(HELLO, 5)) == ("temporary", "refused")


@pytest.mark.parametrize(
    ("lines", "every", "expected"),
    [
        ((), 0.0, ("temporary", "read_timeout")),
        ((b"220 " + b"x" * 400,), 0.02, ("temporary", "read_timeout")),
        ((b"554 go away\r\n",), 0.0, ("channel", "smtp_554")),
        ((b"421 too busy\r\n",), 0.0, ("temporary", "smtp_421")),
    ],
    ids=["silent", "dripping", "554", "421"],
)
def test_a_server_that_does_not_let_us_in_is_given_up_in_time(
    lines: tuple[bytes, ...], every: float, expected: tuple[str, str]
) -> None:
    with speaking(*lines, every=every) as port:
        address = f"mailto://127.0.0.1:{port}/?from=a@example.com&to=b@example.com&mode=insecure"
        started = time.monotonic()
        outcome = build("mail", address).send(HELLO, 0.5)

    assert verdict(outcome) == expected
    assert time.monotonic() - started < 2


def test_silence_after_the_message_leaves_it_unknown_whether_it_arrived() -> None:
    replies = (b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n")
    with speaking(b"".join(replies)) as port:
        address = f"mailto://127.0.0.1:{port}/?from=a@example.com&to=b@example.com&mode=insecure"

        assert verdict(build("mail", address).send(HELLO, 0.5)) == ("unknown", "read_timeout")


def test_plain_mail_builds_no_tls_context(server: SmtpSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library builds one for every mail, which takes twenty times as long as the mail itself."""
    mail = build("mail", url(server))
    monkeypatch.delattr(ssl, "create_default_context")

    assert mail.send(HELLO, 5) == DELIVERED
