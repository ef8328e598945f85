"""From every released schema to today's: what is in the store stays, and the tables are as if made today."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, inspect, text

from gateway.errors import StoreError
from gateway.store import migration, schema
from gateway.store.ledger import total
from gateway.store.migration import Migration
from gateway.store.opening import migrate_store, open_reader, open_store, opener
from gateway.store.rows import LedgerLine
from gateway.testing.builders import MOMENT, acceptance, new_delivery

RELEASED = Path(__file__).parents[2] / "golden" / "store"
FIRST = 1
STEPS = (
    "Count in shards, keep transitions nobody was told of, and let nodes share rates and ids.",
    "Keep how far each source was read, the last state of runs, and the events that were refused.",
)


@pytest.fixture
def released(url: str) -> Callable[[int], None]:
    """Makes a store of a released version, with rows in it, as a gateway of that version left it when killed."""

    def make(version: int) -> None:
        kind = url.partition(":")[0]
        script = (RELEASED / f"{version:04}.{kind}.sql").read_text()
        if kind == "sqlite":
            with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
                connection.executescript(script)
            connection.close()
        else:
            with psycopg.connect(url) as connection:
                connection.execute(script)

    return make


def on(url: str, work: Callable[[Connection], Any]) -> Any:
    """Do ``work`` in a transaction on the store, without making anything of it first."""
    database = opener(url)()
    try:
        with database.transaction() as connection:
            return work(connection)
    finally:
        database.close()


def anatomy(connection: Connection) -> dict[str, Any]:
    """All that makes tables what they are, but the order of columns."""
    found = inspect(connection)
    tables = {name: _table(found, name) for name in found.get_table_names()}
    if connection.dialect.name == "sqlite":
        made = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        for name, sql in made:
            tables[name]["rowid"] = "WITHOUT ROWID" not in sql
    else:
        tables["sequences"] = found.get_sequence_names()
    return tables


def _table(found: Any, name: str) -> dict[str, Any]:
    return {
        "columns": {
            one["name"]: (str(one["type"]), one["nullable"], str(one["default"])) for one in found.get_columns(name)
        },
        "key": found.get_pk_constraint(name)["constrained_columns"],
        "unique": [one["column_names"] for one in found.get_unique_constraints(name)],
        "foreign": [(one["constrained_columns"], one["referred_table"]) for one in found.get_foreign_keys(name)],
        "indexes": {
            one["name"]: (one["column_names"], {key: str(value) for key, value in one["dialect_options"].items()})
            for one in found.get_indexes(name)
        },
    }


def test_a_new_store_has_the_tables_that_all_migrations_together_make(
    url: str, released: Callable[[int], None]
) -> None:
    released(FIRST)
    on(url, migration.migrate)
    migrated = on(url, anatomy)
    on(url, drop_everything)

    on(url, migration.migrate)

    assert on(url, anatomy) == migrated


def drop_everything(connection: Connection) -> None:
    for table in reversed(schema.metadata.sorted_tables):
        connection.execute(text(f"DROP TABLE IF EXISTS {table.name}"))
    if connection.dialect.name == "postgresql":
        connection.execute(text("DROP SEQUENCE gateway_id"))


def test_the_first_revision_makes_what_was_first_released(url: str, released: Callable[[int], None]) -> None:
    released(FIRST)
    first = on(url, anatomy)
    on(url, lambda connection: [connection.execute(text(f"DROP TABLE {name}")) for name in reversed(ORDER)])

    on(url, lambda connection: migration.upgrade(connection, 0, FIRST))

    assert on(url, anatomy) == first


ORDER = ("about", "counter", "ledger", "node", "sequence", "transition", "delivery", "attempt")


def test_what_an_old_store_holds_is_all_there_afterwards(url: str, released: Callable[[int], None]) -> None:
    released(FIRST)

    assert migrate_store(url) == Migration(1, schema.SCHEMA_VERSION, STEPS)

    store = open_store(url)
    assert store.id == "5d97197c"
    assert {one.id: one.status for one in store.deliveries()}.keys() == {3, 4, 5, 7, 9, 11, 15}
    assert total(store.ledger()) == LedgerLine("", "", 7, delivered=1, suppressed=1, dead=1, cancelled=1, owed=3)
    assert {line.channel: line.accepted for line in store.ledger()} == {"mail": 2, "oncall": 4, "pager": 1}
    assert (store.counters()["transitions"], store.counters()["duplicates"]) == (5, 1)
    dead = store.history(4)
    assert dead is not None
    assert (dead.attempts[0].reason, dead.attempts[0].detail) == ("http_400", 'it\'s said: "no"')
    cancelled = store.history(15)
    assert cancelled is not None
    assert cancelled.delivery.body == "漢字 🎉; -- 'x'"
    store.close()


def test_an_old_store_goes_on_where_it_was(url: str, released: Callable[[int], None]) -> None:
    released(FIRST)
    migrate_store(url)
    store = open_store(url)

    assert store.accept(acceptance(new_delivery(), id="t-2")).result().duplicate
    (new,) = store.accept(acceptance(new_delivery())).result().deliveries

    assert new.id > 15
    assert 7 in {one.id for one in store.claim("oncall", 9, MOMENT).result()}
    assert all(line.balances for line in store.ledger())
    store.close()


def test_an_old_file_is_migrated_by_who_opens_it(sqlite_url: str, url: str, released: Callable[[int], None]) -> None:
    released(FIRST)
    if url != sqlite_url:
        with pytest.raises(StoreError, match=r"older gateway: its schema is version 1 .* run `gateway migrate`"):
            open_store(url)
        assert on(url, schema.version_of) == 1
        return

    store = open_store(url)

    assert store.owed() == 3
    assert len(store.claim("oncall", 9, MOMENT).result()) == 2, "what a killed process had claimed is there again"
    store.close()


def test_a_reader_of_an_old_store_says_what_to_do(url: str, released: Callable[[int], None]) -> None:
    released(FIRST)

    with pytest.raises(StoreError, match="run `gateway migrate`"):
        open_reader(url)


def test_migrating_makes_an_empty_store_and_does_nothing_the_second_time(url: str) -> None:
    assert [migrate_store(url), migrate_store(url)] == [Migration(None), Migration(schema.SCHEMA_VERSION)]

    open_store(url).close()


def test_an_old_store_that_others_have_open_is_not_changed(url: str, released: Callable[[int], None]) -> None:
    released(FIRST)
    other = opener(url)()
    with other.transaction() as connection:
        other.is_alone()
        if connection.dialect.name == "postgresql":
            connection.execute(
                text("UPDATE node SET heartbeat_at = CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)")
            )
    try:
        with pytest.raises(StoreError, match="end every gateway on it"):
            migrate_store(url)
        with pytest.raises(StoreError, match="run `gateway migrate`"):
            open_store(url)
    finally:
        other.close()
    assert on(url, schema.version_of) == 1


def test_a_migration_that_fails_changes_nothing(
    url: str, released: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    released(FIRST)
    before = on(url, anatomy)

    def migrate_and_fail(connection: Connection) -> None:
        migration.migrate(connection)
        raise RuntimeError("the power fails")

    with pytest.raises(RuntimeError):
        on(url, migrate_and_fail)

    assert on(url, anatomy) == before
    assert migrate_store(url).before == 1


def test_of_several_that_migrate_at_the_same_time_one_does(url: str, released: Callable[[int], None]) -> None:
    released(FIRST)
    script = "import sys; from gateway.store.opening import migrate_store; print(migrate_store(sys.argv[1]).before)"
    command = [sys.executable, "-c", script, url]
    migrating = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]

    printed = sorted(one.communicate(timeout=50)[0].strip() for one in migrating)

    assert [one.returncode for one in migrating] == [0, 0, 0]
    assert printed == ["1", "3", "3"]


def test_the_tables_are_looked_at_by_one_at_a_time(url: str) -> None:
    """Several gateways that are started on an empty database make its tables once."""
    script = "import sys; from gateway.store.opening import open_store; s = open_store(sys.argv[1]); print(s.id)"
    starting = [
        subprocess.Popen([sys.executable, "-c", script, url], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]

    ids = {one.communicate(timeout=50)[0].strip() for one in starting}

    assert [one.returncode for one in starting] == [0, 0, 0]
    assert len(ids) == 1


def test_nothing_of_alembic_is_loaded_when_nothing_is_to_be_migrated(url: str) -> None:
    open_store(url).close()
    script = "import sys; from gateway.store.opening import open_store; open_store(sys.argv[1]).close(); "
    script += "print('alembic' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", script, url], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
