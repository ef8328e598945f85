"""What was kept long enough goes, what is owed stays, and the books tell of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.dialects import postgresql, sqlite

from gateway.store import queries, retention, schema
from gateway.store.ledger import total
from gateway.store.opening import open_store
from gateway.store.retention import MOST_AT_ONCE, Expired, Forgotten
from gateway.store.rows import Attempt, Delivery, Oldest, Record
from gateway.store.sqlite import SqliteDatabase
from gateway.store.store import Store
from gateway.testing.builders import MOMENT, acceptance, new_delivery

HOUR = timedelta(hours=1)
LATER = MOMENT + HOUR
ALL = Expired(LATER, LATER)


def accept(store: Store, *channels: str, **more: Any) -> tuple[Delivery, ...]:
    """Accept one transition with a delivery, claimed, to each of ``channels``."""
    new = [new_delivery(channel, **({"claimed": True} | more)) for channel in channels]
    return store.accept(acceptance(*new)).result().deliveries


def end(store: Store, delivery: Delivery, status: str = "delivered", **more: Any) -> Delivery | None:
    """End ``delivery``; returns its fallback."""
    attempt = Attempt(MOMENT, "delivered", "ok", "", 3)
    at = more.pop("at", MOMENT)
    return store.record(Record(delivery, status, "ok", at, at, attempt, **more)).result().fallback


def rows(store: Store) -> dict[str, int]:
    """How many rows there are of what can be forgotten."""
    tables = (schema.transition, schema.delivery, schema.attempt)
    return store.ask(
        lambda connection: {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables
        }
    )


@pytest.mark.parametrize("status", ["delivered", "dead"])
def test_an_ended_delivery_goes_with_its_attempts_and_its_transition(store: Store, status: str) -> None:
    (delivery,) = accept(store, "oncall")
    end(store, delivery, status)

    assert store.forget(ALL).result() == Forgotten(deliveries=1, transitions=1)
    assert rows(store) == {"transition": 0, "delivery": 0, "attempt": 0}
    assert store.history(delivery.id) is None


def test_those_that_were_suppressed_or_cancelled_go_too(store: Store) -> None:
    (waiting,) = accept(store, "oncall", claimed=False)
    store.cancel(waiting.id, MOMENT).result()
    accept(store, "oncall", suppressed="shadow")

    assert store.forget(ALL).result() == Forgotten(deliveries=2, transitions=2)


@pytest.mark.parametrize("claimed", [True, False])
def test_what_is_owed_stays_however_old_and_so_does_what_caused_it(store: Store, claimed: bool) -> None:
    ended, owed = accept(store, "oncall", "mail", claimed=claimed)
    if claimed:
        end(store, ended)
    else:
        store.cancel(ended.id, MOMENT).result()

    assert store.forget(Expired(MOMENT + timedelta(days=999), None)).result() == Forgotten(deliveries=1)

    history = store.history(owed.id)
    assert history is not None
    assert history.transition.obj_name == "load"


def test_the_transition_goes_with_the_last_of_its_deliveries(store: Store) -> None:
    first, last = accept(store, "oncall", "mail")
    end(store, first)
    store.forget(ALL).result()
    end(store, last)

    assert store.forget(ALL).result() == Forgotten(deliveries=1, transitions=1)


def test_what_ended_lately_stays_however_early_it_began(store: Store) -> None:
    early, late = accept(store, "oncall", "mail")
    end(store, early)
    end(store, late, at=LATER)

    assert store.forget(ALL).result().deliveries == 1
    assert [one.id for one in store.deliveries()] == [late.id]


def test_a_dead_letter_may_go_before_its_fallback_and_the_fallback_is_told_of_all_the_same(store: Store) -> None:
    (dead,) = accept(store, "oncall")
    fallback = end(store, dead, "dead", fallback=new_delivery("mail", claimed=True))
    assert fallback is not None

    assert store.forget(ALL).result() == Forgotten(deliveries=1)

    history = store.history(fallback.id)
    assert history is not None
    assert (history.delivery.fallback_of, history.transition.seq) == (dead.id, dead.transition_seq)
    end(store, fallback)
    assert store.forget(ALL).result() == Forgotten(deliveries=1, transitions=1)


def test_a_dead_letter_that_is_retried_in_time_is_owed_and_stays(store: Store) -> None:
    (dead,) = accept(store, "oncall")
    end(store, dead, "dead")
    assert store.retry(dead.id, MOMENT).result()

    assert store.forget(ALL).result() == Forgotten()
    assert not store.retry(dead.id + 1, MOMENT).result()


def test_one_that_is_gone_cannot_be_retried(store: Store) -> None:
    (dead,) = accept(store, "oncall")
    end(store, dead, "dead")
    store.forget(ALL).result()

    assert not store.retry(dead.id, MOMENT).result()
    assert total(store.ledger()).dead == 1


def test_unmatched_transitions_have_a_time_of_their_own(store: Store) -> None:
    store.accept(acceptance()).result()
    store.accept(acceptance(now=LATER)).result()
    end(store, accept(store, "oncall")[0])

    assert store.forget(Expired(None, LATER)).result() == Forgotten(unmatched=1)
    assert rows(store) == {"transition": 2, "delivery": 1, "attempt": 1}
    assert store.oldest() == Oldest(MOMENT, LATER)


def test_the_oldest_go_first_and_few_at_a_time(store: Store) -> None:
    store.accept_all([acceptance(now=MOMENT + timedelta(seconds=n)) for n in range(MOST_AT_ONCE + 1)]).result()
    for delivery in accept(store, *(["oncall"] * 150)):
        end(store, delivery)

    assert store.forget(ALL).result() == Forgotten(deliveries=150, transitions=1, unmatched=MOST_AT_ONCE - 150)
    assert store.oldest().unmatched_at == MOMENT + timedelta(seconds=MOST_AT_ONCE - 150)
    assert store.forget(ALL).result().unmatched == 151
    assert store.forget(ALL).result().found == 0
    assert store.oldest() == Oldest(None, None)


def test_the_ledger_goes_on_counting_what_is_gone_and_the_difference_is_told(store: Store) -> None:
    for n in range(5):
        deliveries = accept(store, "oncall", "mail")
        end(store, deliveries[0], "delivered" if n % 2 else "dead")
    before = store.ledger()
    store.accept(acceptance()).result()

    store.forget(Expired(LATER, LATER, limit=3)).result()

    counters = store.counters()
    assert store.ledger() == before
    assert all(line.balances for line in before)
    assert total(before).accepted == rows(store)["delivery"] + counters["deliveries_forgotten"] == 10
    assert counters["transitions"] == rows(store)["transition"] + counters["transitions_forgotten"] == 6


def test_the_same_transition_after_its_row_is_gone_is_a_new_one(store: Store) -> None:
    store.accept(acceptance(id="t-1")).result()
    store.forget(ALL).result()

    assert not store.accept(acceptance(id="t-1")).result().duplicate


def test_two_who_sweep_one_store_delete_everything_once(url: str, until: Callable[..., None]) -> None:
    stores = [open_store(url), open_store(url)]
    for _ in range(30):
        for delivery in accept(stores[0], "oncall", "mail"):
            end(stores[0], delivery)
    swept: list[Forgotten] = []

    def sweep() -> bool:
        swept.extend(one.result() for one in [store.forget(Expired(LATER, None, limit=7)) for store in stores])
        return sum(one.deliveries for one in swept) >= 60

    until(sweep)

    assert sum(one.deliveries for one in swept) == 60
    assert sum(one.transitions for one in swept) == 30
    assert rows(stores[0]) == {"transition": 0, "delivery": 0, "attempt": 0}
    for store in stores:
        store.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "plain.db", "full")
    with database.transaction() as connection:
        schema.prepare(connection, "here")
    yield database
    database.close()


BEFORE = {"before": 1, "limit": 1}
IDS = {"ids": [1, 2]}


@pytest.mark.parametrize(
    ("statement", "bound", "expected"),
    [
        (retention.ENDED, BEFORE, ["SEARCH delivery USING INDEX delivery_ended (updated_at<?)"]),
        (retention.UNMATCHED, BEFORE, ["SEARCH transition USING INDEX transition_unmatched (received_at<?)"]),
        (queries.OLDEST_ENDED, {}, ["SEARCH delivery USING INDEX delivery_ended"]),
        (queries.OLDEST_UNMATCHED, {}, ["SEARCH transition USING INDEX transition_unmatched"]),
        (retention.DELETE_ATTEMPTS, IDS, ["SEARCH attempt USING PRIMARY KEY (delivery_id=?)"]),
        (
            retention.DELETE_DELIVERIES,
            IDS,
            [  # the second is the look for rows that refer to it
                "SEARCH delivery USING INTEGER PRIMARY KEY (rowid=?)",
                "SEARCH attempt USING PRIMARY KEY (delivery_id=?)",
            ],
        ),
        (
            retention.DELETE_CAUSES,
            IDS,
            [
                "SEARCH transition USING INTEGER PRIMARY KEY (rowid=?)",
                "SEARCH delivery USING INDEX delivery_of_transition (transition_seq=?)",
            ],
        ),
    ],
    ids=["ended", "unmatched", "oldest ended", "oldest unmatched", "attempts", "deliveries", "causes"],
)
def test_no_statement_reads_more_rows_than_it_deletes(
    database: SqliteDatabase, statement: Any, bound: dict[str, object], expected: list[str]
) -> None:
    sql = statement.compile(dialect=sqlite.dialect(paramstyle="named")).construct_expanded_state(bound)
    with database.transaction() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql.statement}", sql.parameters)
        steps = [row.detail.replace("COVERING ", "") for row in plan if "SUBQUERY" not in row.detail]

    assert set(steps) == set(expected)


def test_gateways_on_one_server_take_turns() -> None:
    dialect = postgresql.dialect()

    for statement in (retention.TURN, retention.ENDED, retention.UNMATCHED):
        assert "FOR UPDATE SKIP LOCKED" in str(statement.compile(dialect=dialect))


def test_a_chunk_that_fails_leaves_everything_as_it_was(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    end(store, accept(store, "oncall")[0])
    other = SqliteDatabase(Path(sqlite_url.removeprefix("sqlite:///")), "full")
    with other.transaction() as connection:  # something we know nothing of refers to the transition
        connection.execute(text("CREATE TABLE note (seq INTEGER REFERENCES transition (seq))"))
        connection.execute(text("INSERT INTO note SELECT seq FROM transition"))
    other.close()

    assert store.forget(ALL).exception() is not None
    assert rows(store) == {"transition": 1, "delivery": 1, "attempt": 1}
    assert store.counters()["deliveries_forgotten"] == 0
    store.close()
