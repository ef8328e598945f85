"""Bulk: one statement for many rows, handed to the driver as it takes them.

The library builds a dictionary and a tuple for every row of an ``executemany`` and looks through both
again; for the inserts that every transition pays for, that is as much work as the database has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, CursorResult
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.elements import ClauseElement

Row = Mapping[str, Any]


def execute_many(connection: Connection, statement: ClauseElement, rows: Sequence[Row]) -> CursorResult[Any]:
    """Execute ``statement`` once for each of ``rows``, of which there must be one at least.

    Every row has a plain value, such as the driver takes, for each parameter of the statement.
    """
    sql, shaped = _compiled(statement, connection.dialect, tuple(rows[0]))
    return connection.exec_driver_sql(sql, [shaped(row) for row in rows])


@lru_cache(64)
def _compiled(statement: ClauseElement, dialect: Dialect, columns: tuple[str, ...]) -> tuple[str, Callable[[Row], Any]]:
    """The text of ``statement``, and what makes a row of the driver's from one of ours."""
    compiled: Any = statement.compile(dialect=dialect, column_keys=list(columns))
    return compiled.string, itemgetter(*compiled.positiontup) if compiled.positional else dict
