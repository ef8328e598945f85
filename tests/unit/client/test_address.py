from __future__ import annotations

import pytest

from gateway.client.address import parse_address
from gateway.errors import ClientError


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://127.0.0.1:8787", "127.0.0.1", 8787, "/api/v1/transitions"),
        ("http://localhost:8787/", "localhost", 8787, "/api/v1/transitions"),
        (" https://gateway.example/team/a/ ", "gateway.example", 443, "/team/a/api/v1/transitions"),
        ("HTTP://Gateway", "gateway", 80, "/api/v1/transitions"),
        ("http://[::1]:9", "::1", 9, "/api/v1/transitions"),
    ],
)
def test_an_address_is_taken_apart(url: str, host: str, port: int, path: str) -> None:
    address = parse_address(url)

    assert (address.host, address.port, address.path) == (host, port, path)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("127.0.0.1:8787", "neither http:// nor https://"),
        ("ftp://gateway", "neither http:// nor https://"),
        ("http://", "no host"),
        ("http://a b", "no host"),
        ("http://gateway:port", "Port could not be cast"),
        ("http://gateway/?token=t0p", "a query"),
        ("http://gateway/a b", "must be escaped"),
        ("http://user:t0p@gateway", "a user or a password"),
        (8787, "not of type int"),
    ],
)
def test_what_is_no_address_is_said_and_not_shown(url: str, why: str) -> None:
    with pytest.raises(ClientError, match=why) as raised:
        parse_address(url)

    assert "t0p" not in str(raised.value)
    assert "http://127.0.0.1:8787" in str(raised.value)


def test_transitions_for_different_gateways_wait_apart() -> None:
    urls = ["http://a:1", "http://a:2", "https://a:1", "http://a:1/x", "http://b:1"]

    assert len({parse_address(url).folder for url in urls}) == len(urls)
    assert parse_address("http://A:1/").folder == parse_address("http://a:1").folder
