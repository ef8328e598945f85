"""What is particular to the SQLite store: its file, its pragmas, its plans."""

from __future__ import annotations

import sqlite3
import stat
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

from gateway.errors import StoreError
from gateway.store import operations, queries, schema
from gateway.store.opening import open_reader, open_store
from gateway.store.sqlite import SqliteDatabase
from gateway.store.store import Store
from gateway.testing.builders import MOMENT, acceptance, new_delivery


@pytest.fixture
def url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def database(tmp_path: Path) -> Any:
    database = SqliteDatabase(tmp_path / "plain.db", "full")
    with database.transaction() as connection:
        schema.prepare(connection, "here")
    yield database
    database.close()


def pragma(database: SqliteDatabase, name: str) -> object:
    with database.transaction() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


@pytest.mark.parametrize(
    ("name", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("auto_vacuum", 2)]
)
def test_the_writing_connection_is_set_up_for_durability(database: SqliteDatabase, name: str, value: object) -> None:
    assert pragma(database, name) == value


def test_less_care_can_be_asked_for(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "plain.db", "normal")

    assert pragma(database, "synchronous") == 1
    database.close()


@pytest.mark.parametrize(
    ("statement", "bound", "index"),
    [
        (operations.DUE, {"wanted_channel": "c", "now": 1, "limit": 1}, "delivery_due"),
        (
            operations.EXPIRED,
            {"channels": ["a", "b"], "now": 1, "orphans_before": 1, "limit": 1},
            "delivery_give_up",
        ),
        (queries.NEXT_DUE, {}, "delivery_due"),
        (queries.NEXT_GIVE_UP, {}, "delivery_give_up"),
    ],
    ids=["due", "expired", "next due", "next give up"],
)
def test_what_is_asked_often_is_answered_from_a_partial_index(
    database: SqliteDatabase, statement: Any, bound: dict[str, object], index: str
) -> None:
    sql = statement.compile(dialect=sqlite.dialect(paramstyle="named")).construct_expanded_state(bound)
    with database.transaction() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql.statement}", sql.parameters)
        steps = [row.detail for row in plan]

    touching = [step for step in steps if "delivery" in step]
    assert touching
    assert all(f"INDEX {index}" in step for step in touching), steps


def test_readers_cannot_write(database: SqliteDatabase) -> None:
    with pytest.raises(StoreError, match="readonly"):
        database.read(lambda connection: connection.execute(text("DELETE FROM node")))


def test_a_query_that_takes_too_long_is_stopped_and_the_reader_goes_on(database: SqliteDatabase) -> None:
    endless = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")
    began = time.monotonic()

    with pytest.raises(StoreError, match="too long"):
        database.read(lambda connection: connection.execute(endless).scalar_one(), seconds=0.05)

    assert time.monotonic() - began < 5
    assert database.read(lambda connection: connection.execute(text("SELECT 1")).scalar_one()) == 1


def test_the_file_and_its_companions_are_private(url: str, store: Store, tmp_path: Path) -> None:
    store.accept(acceptance(new_delivery())).result()

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    assert set(modes.values()) == {0o600}, modes


def test_the_folder_is_made_if_it_is_missing(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'var' / 'deep' / 'gateway.db'}")

    assert store.owed() == 0
    store.close()


def test_what_was_accepted_is_there_after_reopening_under_the_same_store_id(url: str) -> None:
    store = open_store(url)
    id, delivery = store.id, store.accept(acceptance(new_delivery())).result().deliveries[0]
    store.close()

    again = open_store(url)

    assert again.id == id
    assert again.deliveries() == [delivery]
    assert again.accept(acceptance(new_delivery())).result().deliveries[0].id > delivery.id
    again.close()


def write_newer(path: Path) -> None:
    open_store(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE about SET schema_version = 99")
    connection.close()


def write_foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customer (id INTEGER)")
    connection.close()


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_newer, "written by a newer gateway: its schema is version 99"),
        (write_foreign, "tables of another program"),
        (lambda path: path.write_text("notes to self " * 100), "not a database"),
        (lambda path: path.mkdir(), "cannot open the store"),
    ],
    ids=["newer", "foreign", "no database", "folder"],
)
def test_a_file_that_is_no_store_of_ours_is_refused_and_left_alone(
    tmp_path: Path, write: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "gateway.db"
    write(path)

    with pytest.raises(StoreError, match=message):
        open_store(f"sqlite:///{path}")
    with pytest.raises(StoreError, match="there is no store" if path.is_dir() else message):
        open_reader(f"sqlite:///{path}")

    (path.rmdir if path.is_dir() else path.unlink)()
    open_store(f"sqlite:///{path}").close()


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///a\0b", "mysql://db/x", "gateway.db"]
)
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match=r"sqlite:///var/gateway\.db"):
        open_store(url)


def test_text_of_any_kind_comes_back_as_it_was(store: Store) -> None:
    odd = "é ß 漢字 🎉 ' \" ; -- % :name \t"
    (delivery,) = store.accept(acceptance(new_delivery(body=odd, title=odd, handler=odd))).result().deliveries

    found = store.history(delivery.id)

    assert found is not None
    assert (found.delivery.body, found.delivery.title, found.delivery.handler) == (odd, odd, odd)


def test_instants_keep_their_milliseconds(store: Store) -> None:
    moment = MOMENT + timedelta(microseconds=123_999)
    store.accept(acceptance(new_delivery(), now=moment)).result()

    assert store.deliveries()[0].created_at == MOMENT + timedelta(milliseconds=123)


# the wall clock
