"""A title is plain text; where a service has no titles it becomes part of the body, in the body's format."""

from __future__ import annotations

import pytest

from gateway.channels.apprise import AppriseChannel
from gateway.channels.base import Message
from gateway.channels.transport import Transport
from gateway.testing import HttpSink, SmtpSink, answer


@pytest.mark.parametrize(
    ("format", "expected"),
    [("html", "a &lt; b &amp; c"), ("text", "a &lt; b &amp; c")],
)
def test_a_title_that_joins_the_body_is_escaped_for_it(format: str, expected: str) -> None:
    with HttpSink(answer(200, '{"ok": true, "result": []}')) as sink:
        transport = Transport(routes={"api.telegram.org": sink.url})
        channel = AppriseChannel(
            "chat",
            "tgram://123456789:AAHtoken_token_token_token_token_tok/12315544/",
            transport=transport,
            format="html",
        )

        outcome = channel.send(Message(body="body", title="a < b & c", format=format), 5)  # type: ignore[arg-type]

        assert outcome.kind == "delivered"
        assert expected in sink.received[-1].body.decode()


@pytest.mark.parametrize("title", ["x" * 240, "é" * 240, "漢字 " * 80, "🚨" * 240, "short: é"])
def test_a_long_title_arrives_whole_as_the_subject_of_a_mail(title: str) -> None:
    with SmtpSink() as sink:
        channel = AppriseChannel("mail", f"mailto://{sink.address}?mode=insecure&from=gw@example.com&to=a@example.com")

        outcome = channel.send(Message(body="body\n\nSubject: =?" + "x" * 80, title=title), 5)

        assert outcome.kind == "delivered", outcome
        assert str(sink.mails[-1].message["Subject"]).replace("\r\n", "") == title.strip()
        assert "Subject: =?" in str(sink.mails[-1].message.get_content())
        channel.close()
