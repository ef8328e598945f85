"""The command migrate, on a file and on a server."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.store.opening import open_store
from gateway.store.rows import NewRefused, Position
from gateway.testing.builders import MOMENT

RELEASED = Path(__file__).parents[2] / "golden" / "store"
CONFIG = """
[store]
url = { env = "STORE" }

[channel.screen]
url = "console://"

[[handler]]
name = "failed"
when = "state is failed"
to = ["screen"]
"""


BOOKS = {
    1: "7 accepted = 1 delivered + 1 suppressed + 1 dead + 1 cancelled + 3 owed",
    2: "6 accepted = 3 delivered + 0 suppressed + 0 dead + 1 cancelled + 2 owed",
}
"""What is in the stores that released gateways left, by the version of their tables."""


@pytest.fixture(params=BOOKS)
def version(request: pytest.FixtureRequest) -> int:
    """The version of the tables of an old store."""
    number: int = request.param
    return number


@pytest.fixture
def old_store(version: int, any_url: str, declare: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> str:
    """A configuration whose store was left by a released gateway."""
    declare(CONFIG)
    monkeypatch.setenv("STORE", any_url)
    kind = any_url.partition(":")[0]
    script = (RELEASED / f"{version:04}.{kind}.sql").read_text()
    if kind == "sqlite":
        with sqlite3.connect(any_url.removeprefix("sqlite:///")) as connection:
            connection.executescript(script)
        connection.close()
    else:
        with psycopg.connect(any_url) as server:
            server.execute(script)
    return any_url


def test_an_old_store_is_brought_up_to_date_and_said_so(gateway: Any, version: int, old_store: str) -> None:
    refused = gateway("deliveries")
    assert refused.returncode == 1
    assert "run `gateway migrate`" in refused.stderr

    migrated, again = gateway("migrate"), gateway("migrate")

    assert (migrated.returncode, again.returncode) == (0, 0)
    assert f"from version {version} to 3:\n" in migrated.stdout
    assert ("Count in shards" in migrated.stdout) == (version == 1)
    assert "Keep how far each source was read" in migrated.stdout
    assert again.stdout == "Nothing to do: the tables of the store are of version 3 already.\n"
    assert BOOKS[version] in gateway("deliveries").stdout


def test_machines_are_told_the_same(gateway: Any, version: int, old_store: str) -> None:
    told = json.loads(gateway("migrate", "--json").stdout)

    assert (told["before"], told["after"], len(told["steps"])) == (version, 3, 3 - version)


def test_a_migrated_store_takes_what_is_new_in_it(gateway: Any, old_store: str) -> None:
    gateway("migrate")
    with closing(open_store(old_store)) as store:
        store.refuse([NewRefused("cloudevents", MOMENT, "it is odd", "{}")]).result(10)
        store.advance(Position("prefect", MOMENT)).result(10)

        assert [one.complaint for one in store.refused(limit=10)] == ["it is odd"]
        assert store.position("prefect") == Position("prefect", MOMENT)
        assert store.runs([("openlineage", "r-1")]) == {}


def test_orders_are_carried_out_on_either_store(gateway: Any, old_store: str) -> None:
    gateway("migrate")
    listed = json.loads(gateway("deliveries", "--json").stdout)["deliveries"]
    (cancelled,) = (str(one["id"]) for one in listed if one["status"] == "cancelled")

    assert gateway("deliveries", "retry", cancelled).returncode == 0
    assert json.loads(gateway("deliveries", "show", cancelled, "--json").stdout)["delivery"]["status"] == "pending"


def test_a_store_that_cannot_be_reached_is_told_without_its_password(
    gateway: Any, declare: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(CONFIG)
    for address in ("postgresql://ana:hunter2@127.0.0.1:1/db", "postgresql://ana:hun/ter2@db/x"):
        monkeypatch.setenv("STORE", address)
        for command in ("migrate", "deliveries"):
            ended = gateway("--log-level", "debug", command)
            assert ended.returncode == 1
            assert "ter2" not in ended.stdout + ended.stderr
