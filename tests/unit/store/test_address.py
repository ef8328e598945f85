"""Addresses of PostgreSQL databases, and that nothing of a wrong one is shown."""

from __future__ import annotations

import pytest

from gateway.errors import StoreError
from gateway.store.address import parse_address


@pytest.mark.parametrize(
    ("url", "parameters"),
    [
        ("postgresql://", {}),
        ("postgresql:///gateway", {"dbname": "gateway"}),
        ("postgresql://db/gateway", {"host": "db", "dbname": "gateway"}),
        ("postgresql://ana@db:5433/gateway", {"user": "ana", "host": "db", "port": "5433", "dbname": "gateway"}),
        ("postgresql://ana:s%40%2F%3Ac@db/g", {"user": "ana", "password": "s@/:c", "host": "db", "dbname": "g"}),
        ("postgresql://ana:s@cret@db/g", {"user": "ana", "password": "s@cret", "host": "db", "dbname": "g"}),
        ("postgresql://[::1]:5432/g", {"host": "::1", "port": "5432", "dbname": "g"}),
        ("postgresql://a:1,b:2/g", {"host": "a,b", "port": "1,2", "dbname": "g"}),
        ("postgresql:///g?host=/run/postgresql", {"dbname": "g", "host": "/run/postgresql"}),
        ("postgresql://db/g?sslmode=require", {"host": "db", "dbname": "g", "sslmode": "require"}),
    ],
)
def test_an_address_says_what_to_connect_with(url: str, parameters: dict[str, str]) -> None:
    assert parse_address(url).parameters == parameters


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ana:hun/ter2@db/g",
        "postgresql://ana:hun?ter2@db/g",
        "postgresql://ana:hun#ter2@db/g",
        "postgresql://ana:12/hunter2@db/g",
        "postgresql://ana:12?hunter2@db/g",
        "postgresql://ana:12?hunter2=@db/g",
        "postgresql://ana:hunter2",
        "postgresql://ana:hunter2@db:port/g",
        "postgresql://ana:hunter2@[db/g",
        "postgresql://ana:hunter2%00@db/g",
        "postgresql://db/g?hunter2",
        "postgresql://db/g?HUNTER2=1",
    ],
)
def test_a_wrong_address_is_told_without_showing_any_of_it(url: str) -> None:
    with pytest.raises(StoreError, match="postgresql://user:password@host/database") as raised:
        parse_address(url)

    assert "unter2" not in str(raised.value)
    assert "ter2" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_an_address_shows_its_place_and_never_its_password() -> None:
    address = parse_address("postgresql://ana:hunter2@db/gateway")

    assert address.place == "db/gateway"
    assert "hunter2" not in repr(address)
