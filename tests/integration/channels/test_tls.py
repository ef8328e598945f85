"""HTTPS with certificates that are, and are not, to be trusted."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from gateway.channels import DELIVERED, Message, build
from gateway.channels.transport import Transport
from gateway.testing import HttpSink

HELLO = Message("hello")


@pytest.fixture
def secure_sink(server_tls: ssl.SSLContext) -> Iterator[HttpSink]:
    with HttpSink(tls=server_tls) as running:
        yield running


def test_a_certificate_of_a_trusted_authority_is_accepted(secure_sink: HttpSink, trusting: Transport) -> None:
    assert build("hook", f"jsons://{secure_sink.address}", transport=trusting).send(HELLO, 5) == DELIVERED


def test_a_certificate_of_an_unknown_authority_parks_the_channel(secure_sink: HttpSink) -> None:
    outcome = build("hook", f"jsons://{secure_sink.address}").send(HELLO, 5)

    assert (outcome.kind, outcome.reason) == ("channel", "tls")
    assert secure_sink.received == []


def test_an_unknown_authority_is_accepted_where_the_url_says_so(secure_sink: HttpSink) -> None:
    assert build("hook", f"jsons://{secure_sink.address}?verify=no").send(HELLO, 5) == DELIVERED


def test_a_channel_that_does_not_verify_leaves_the_others_verifying(secure_sink: HttpSink) -> None:
    transport = Transport()
    careless = build("a", f"jsons://{secure_sink.address}?verify=no", transport=transport)
    careful = build("b", f"jsons://{secure_sink.address}", transport=transport)

    for _ in range(2):
        assert careless.send(HELLO, 5) == DELIVERED
        assert careful.send(HELLO, 5).reason == "tls"


def test_a_certificate_for_another_name_is_refused(authority: trustme.CA, trusting: Transport) -> None:
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example.com").configure_cert(other)

    with HttpSink(tls=other) as elsewhere:
        outcome = build("hook", f"jsons://{elsewhere.address}", transport=trusting).send(HELLO, 5)

    assert (outcome.kind, outcome.reason) == ("channel", "tls")


def test_plain_http_behind_an_https_address_parks_the_channel(sink: HttpSink) -> None:
    outcome = build("hook", f"jsons://{sink.address}").send(HELLO, 5)

    assert (outcome.kind, outcome.reason) == ("channel", "tls")


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_environment_may_name_the_authorities(
    secure_sink: HttpSink, ca_file: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(variable, str(ca_file))

    assert build("hook", f"jsons://{secure_sink.address}", transport=Transport()).send(HELLO, 5) == DELIVERED


def test_the_context_is_built_once(trusting: Transport) -> None:
    assert trusting.tls(verify=True) is trusting.tls(verify=True)
    assert trusting.tls(verify=True) is not trusting.tls(verify=False)
    assert trusting.tls(verify=True).verify_mode == ssl.CERT_REQUIRED
