"""The command migrate, on a file and on a server."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

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


@pytest.fixture
def old_store(any_url: str, declare: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> str:
    """A configuration whose store was left by the first gateway released."""
    declare(CONFIG)
    monkeypatch.setenv("STORE", any_url)
    kind = any_url.partition(":")[0]
    script = (RELEASED / f"0001.{kind}.sql").read_text()
    if kind == "sqlite":
        with sqlite3.connect(any_url.removeprefix("sqlite:///")) as connection:
            connection.executescript(script)
        connection.close()
    else:
        with psycopg.connect(any_url) as server:
            server.execute(script)
    return any_url


def test_an_old_store_is_brought_up_to_date_and_said_so(gateway: Any, old_store: str) -> None:
    refused = gateway("deliveries")
    assert refused.returncode == 1
    assert "run `gateway migrate`" in refused.stderr

    migrated, again = gateway("migrate"), gateway("migrate")

    assert (migrated.returncode, again.returncode) == (0, 0)
    assert "from version 1 to 3:\n  Count in shards" in migrated.stdout
    assert again.stdout == "Nothing to do: the tables of the store are of version 3 already.\n"
    assert "7 accepted = 1 delivered + 1 suppressed + 1 dead + 1 cancelled + 3 owed" in gateway("deliveries").stdout


def test_machines_are_told_the_same(gateway: Any, old_store: str) -> None:
    told = json.loads(gateway("migrate", "--json").stdout)

    assert (told["before"], told["after"], len(told["steps"])) == (1, 3, 2)


def test_orders_are_carried_out_on_either_store(gateway: Any, old_store: str) -> None:
    gateway("migrate")

    assert gateway("deliveries", "retry", "4").returncode == 0
    assert json.loads(gateway("deliveries", "show", "4", "--json").stdout)["delivery"]["status"] == "pending"


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
