"""The address of a PostgreSQL database. What may hold a password is shown nowhere, not even when it is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from gateway.errors import StoreError

PREFIX = "postgresql://"

_PARAMETER = re.compile(r"[a-z_]+")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]@/]*)(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where the database is and who we are there.

    Attributes:
        place: host and database, to be shown.
        parameters: what the driver connects with, the password among it.
    """

    place: str
    parameters: Mapping[str, str] = field(repr=False)

    @property
    def password(self) -> str:
        """The password, ``""`` if there is none."""
        return self.parameters.get("password", "")


def parse_address(url: str) -> PostgresAddress:
    """The address that ``url`` writes: ``postgresql://user:password@host:port/database?parameter=value``.

    Everything but the scheme may be left out, several hosts are separated by commas, and the parameters are
    those of PostgreSQL's own client.

    Raises:
        StoreError: it is not one. The message shows nothing of it.
    """
    try:
        split = urlsplit(url)
    except ValueError:
        raise _wrong("is not an address") from None
    userinfo, _, hosts = split.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    database = split.path.removeprefix("/")
    if "@" in split.path + split.query or "#" in url or "/" in database:
        raise _wrong("has a character in the wrong place")
    names, ports = _hosts(hosts)
    written = {"user": user, "password": password, "dbname": database, "host": names, "port": ports}
    parameters = {key: unquote(value) for key, value in written.items() if value} | _query(split.query)
    if any("\0" in value for value in parameters.values()):
        raise _wrong("holds the character NUL")
    place = f"{parameters.get('host', 'localhost')}/{parameters.get('dbname', '')}"
    return PostgresAddress(place.rstrip("/"), parameters)


def _hosts(text: str) -> tuple[str, str]:
    """The names of the hosts and their ports, each with commas between."""
    found = [_HOST.fullmatch(host) for host in text.split(",")]
    if None in found:
        raise _wrong("names no host and port")
    pairs = [(match[1].strip("[]"), match[2] or "") for match in found if match]
    ports = ",".join(port for _, port in pairs)
    return ",".join(name for name, _ in pairs), ports if ports.strip(",") else ""


def _query(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError:
        raise _wrong("has a parameter without a value") from None
    if not all(_PARAMETER.fullmatch(key) for key, _ in pairs):
        raise _wrong("has a parameter that is none")
    return dict(pairs)


def _wrong(how: str) -> StoreError:
    return StoreError(
        f"the address of the store {how}: write {PREFIX}user:password@host/database, "
        "and characters such as / ? # @ : % in a password as %2F %3F %23 %40 %3A %25"
    )
