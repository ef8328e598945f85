"""What is kept of sources beside their transitions: never more than so much of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from gateway.store.arrivals import MOST_REFUSED, MOST_RUNS
from gateway.store.rows import NewRefused, Run
from gateway.store.store import Store
from gateway.testing.builders import MOMENT, acceptance, new_delivery

Executed = Callable[[str], list[tuple[object, ...]]]

FILL = """
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {most})
INSERT INTO run (source, run_id, type, name, occurred_at, seen_at)
SELECT 'openlineage', 'old-' || n, 'Running', 'START', n, n FROM number
"""


@pytest.fixture
def executed(url: str, store: Store) -> Executed:
    def execute(statement: str) -> list[tuple[object, ...]]:
        if url.startswith("postgresql"):
            with psycopg.connect(url) as server:
                cursor = server.execute(statement)
                return cursor.fetchall() if cursor.description else []
        with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
            found = file.execute(statement).fetchall()
        file.close()
        return found

    return execute


@pytest.mark.parametrize("deliveries", [1, 4])
def test_the_runs_seen_first_are_let_go_of_however_many_deliveries_come_with_each(
    store: Store, executed: Executed, deliveries: int
) -> None:
    executed(FILL.format(most=MOST_RUNS))
    every = 1_000 // (1 + deliveries)
    for n in range(every + 100):
        new = (new_delivery() for _ in range(deliveries))
        seen = MOMENT + timedelta(seconds=n)
        run = Run("openlineage", f"new-{n}", "Running", "START", seen)
        store.accept(replace(acceptance(*new, id=f"e-{n}", now=seen), run=run)).result(10)

    ((count,),) = executed("SELECT count(*) FROM run")
    ((new_ones,),) = executed("SELECT count(*) FROM run WHERE run_id LIKE 'new-%'")
    assert count <= MOST_RUNS + every
    assert new_ones == every + 100


def test_of_events_that_were_not_understood_the_latest_are_kept_and_all_are_counted(store: Store) -> None:
    for first in (0, 2_500, 2_510):
        events = [NewRefused("cloudevents", MOMENT, f"wrong-{n}", "{}") for n in range(first, max(first + 10, 2_500))]
        store.refuse(events).result(10)

    kept = store.refused(limit=2_000)
    assert [one.complaint for one in kept] == [f"wrong-{n}" for n in range(2_519, 2_519 - MOST_REFUSED, -1)]
