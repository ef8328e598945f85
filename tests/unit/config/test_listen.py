from __future__ import annotations

import pytest

from gateway.config.listen import parse_listen


@pytest.mark.parametrize(
    ("text", "host", "port", "is_loopback"),
    [
        ("127.0.0.1:8787", "127.0.0.1", 8787, True),
        ("127.3.4.5:0", "127.3.4.5", 0, True),
        ("localhost:80", "localhost", 80, True),
        ("[::1]:8787", "::1", 8787, True),
        ("0.0.0.0:8787", "0.0.0.0", 8787, False),
        ("[::]:8787", "::", 8787, False),
        ("10.0.0.7:65535", "10.0.0.7", 65535, False),
        ("gateway.example.org:80", "gateway.example.org", 80, False),
        ("localhost.example.org:80", "localhost.example.org", 80, False),
        ("[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", 80, False),
    ],
)
def test_a_host_and_a_port_are_read_and_told_again(text: str, host: str, port: int, is_loopback: bool) -> None:
    read = parse_listen(text)

    assert (read.host, read.port, read.is_loopback) == (host, port, is_loopback)
    assert str(read) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8787",
        ":8787",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:65536",
        "::1:80",
        "[::x]:80",
        "http://127.0.0.1:80",
        "127.0.0.1:80/",
        "127.0.0.1:80\n",
        "a b:80",
        "127.0.0.1:-1",
        "127.0.0.1:\u0661",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"host and a port|port is at most|no IPv6 address"):
        parse_listen(text)
