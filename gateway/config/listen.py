"""Where the server listens, as the configuration writes it: ``"127.0.0.1:8787"``, ``"[::1]:8787"``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

PATTERN = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"
"""What it looks like: a host, IPv6 addresses in brackets, a colon, a port."""

_SHAPE = re.compile(PATTERN)
_LARGEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Listen:
    """A host and a port. Port 0 stands for any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def parse_listen(text: str) -> Listen:
    """The host and port that ``text`` writes.

    Raises:
        ValueError: it is not of that form.
    """
    if not _SHAPE.fullmatch(text):
        raise ValueError("must be a host and a port, such as '127.0.0.1:8787', '[::1]:8787' or '0.0.0.0:8787'")
    host, _, port = text.rpartition(":")
    if int(port) > _LARGEST_PORT:
        raise ValueError(f"the port is at most {_LARGEST_PORT}")
    if host.startswith("["):
        host = host[1:-1]
        _check_version_6(host)
    return Listen(host, int(port))


def _check_version_6(host: str) -> None:
    try:
        ip_address(host)
    except ValueError:
        raise ValueError(f"there is no IPv6 address '[{host}]'") from None


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine's own name for itself; any other name may be known to others."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
