from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, create_engine, insert, select, text

from gateway.store.bulk import execute_many

metadata = MetaData()
box = Table("box", metadata, Column("id", Integer, primary_key=True), Column("label", Text, nullable=False))


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        yield connection
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        insert(box),
        text("INSERT INTO box (label, id) VALUES (:label, :id)"),
        text("INSERT INTO box (id, label) VALUES (:id, :label) ON CONFLICT (id) DO NOTHING"),
    ],
    ids=["built", "in another order", "with a conflict clause"],
)
def test_every_row_arrives_with_each_value_in_its_column(connection, statement) -> None:
    result = execute_many(connection, statement, [{"id": 1, "label": "one"}, {"label": "two", "id": 2}])

    assert connection.execute(select(box).order_by(box.c.id)).all() == [(1, "one"), (2, "two")]
    assert result.rowcount == 2


def test_a_value_that_a_statement_needs_twice_is_given_once(connection) -> None:
    statement = text("INSERT INTO box (id, label) VALUES (:id, 'box ' || :id)")

    execute_many(connection, statement, [{"id": 7}, {"id": 8}])

    assert connection.execute(select(box.c.label)).scalars().all() == ["box 7", "box 8"]


def test_the_number_of_rows_that_were_new_is_told(connection) -> None:
    statement = text("INSERT INTO box (id, label) VALUES (:id, :label) ON CONFLICT (id) DO NOTHING")
    execute_many(connection, statement, [{"id": 1, "label": "one"}])

    again = execute_many(connection, statement, [{"id": 1, "label": "one"}, {"id": 2, "label": "two"}])

    assert again.rowcount == 1
