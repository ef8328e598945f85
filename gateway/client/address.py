"""Address: where a gateway takes transitions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from gateway.errors import ClientError

DEFAULT_URL = "http://127.0.0.1:8787"
ROUTE = "/api/v1/transitions"
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A gateway's address, taken apart; ``path`` is the whole way to where it takes transitions."""

    url: str
    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_secure(self) -> bool:
        """Whether it is reached by TLS."""
        return self.scheme == "https"

    @property
    def folder(self) -> str:
        """The name of the folder in which transitions for this gateway wait."""
        readable = re.sub(r"[^A-Za-z0-9.-]", "_", self.host)[:80]
        return f"{readable}_{self.port}_{sha256(self.url.encode()).hexdigest()[:8]}"


def parse_address(url: str) -> Address:
    """``url`` taken apart.

    Raises:
        ClientError: it is not the address of a gateway; says what would be right, and shows it only if no secret can
            be in it.
    """
    if not isinstance(url, str):
        raise ClientError(f"a gateway's address is text, such as {DEFAULT_URL}, not of type {type(url).__name__}")
    try:
        parts = urlsplit(url.strip())
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError as error:
        raise _wrong(str(error)) from None
    if parts.username is not None or parts.password is not None:
        raise _wrong("it holds a user or a password, and a gateway knows tokens: give token=, or set GATEWAY_TOKEN")
    if scheme not in PORTS:
        raise _wrong("it begins with neither http:// nor https://")
    if not host or not re.fullmatch(r"[A-Za-z0-9._:%-]+", host):
        raise _wrong("it names no host")
    if parts.query or parts.fragment:
        raise _wrong("it has a query or a fragment")
    path = parts.path.rstrip("/")
    if re.search(r"[^!-~]", path):
        raise _wrong("its path has characters that must be escaped")
    return Address(f"{scheme}://{parts.netloc.lower()}{path}", scheme, host, port or PORTS[scheme], path + ROUTE)


def _wrong(why: str) -> ClientError:
    return ClientError(f"that is not the address of a gateway: {why}; right is, for example, {DEFAULT_URL}")
