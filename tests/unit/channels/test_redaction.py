"""Taking secrets out of text."""

from __future__ import annotations

import pytest

from gateway.channels.redaction import redactor, shortened

SECRETS = [
    ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkc", "T1JJ3T3L2"),
    ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkc", "TIiajkdnlazkc"),
    ("json://user:p%40ssword@example.com/path", "p@ssword"),
    ("json://user:p%40ssword@example.com/path", "p%40ssword"),
    ("json://example.com/t0ken/x?+Authorization=Bearer%20abcd", "Bearer abcd"),
    ("json://example.com/t0ken/x", "t0ken"),
    ("tgram://123456789:AAbbCC/987654", "123456789"),
    ("tgram://123456789:AAbbCC/987654", "AAbbCC"),
    ("ntfy://my-secret-topic", "my-secret-topic"),
    ("mailto://me:hunter22@example.com?pass=other33", "other33"),
]


@pytest.mark.parametrize(("url", "secret"), SECRETS)
def test_no_part_of_the_url_that_may_be_secret_is_left(url: str, secret: str) -> None:
    text = redactor(url)(f"server said: {secret} is wrong, see https://example.com/{secret}?a")

    assert secret not in text
    assert text.startswith("server said: *** is wrong")


def test_any_url_is_masked_whole() -> None:
    assert redactor("json://example.com")("posted to http://10.0.0.1/a/b failed") == "posted to *** failed"


def test_host_and_recipient_stay_readable() -> None:
    redact = redactor("mailto://me:hunter22@mail.example.com?to=ana@example.org")

    assert redact("mail.example.com refused ana@example.org") == "mail.example.com refused ana@example.org"


@pytest.mark.parametrize("url", ["", "://", "json://[", "json://h:port:x@/@@/?&&=&a==", "x" * 10_000, "a://%zz%"])
def test_a_broken_url_is_no_reason_to_fail(url: str) -> None:
    assert redactor(url)("fine") == "fine"


def test_text_is_shortened_to_one_printable_line() -> None:
    assert shortened("a\n\tb\x1b[0m  c") == "a b [0m c"
    assert shortened("a\ud800b") == "a b"  # half a character, which no database keeps
    assert shortened("x" * 500, 10) == "x" * 9 + "…"
