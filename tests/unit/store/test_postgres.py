"""What is particular to the PostgreSQL store: connections, plans, several nodes, a database that goes away."""

from __future__ import annotations

import logging
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from gateway.errors import StoreDoubtError, StoreError
from gateway.store import ledger, operations, postgres, queries, retention, schema
from gateway.store.address import parse_address
from gateway.store.dialects import shard_of
from gateway.store.opening import has_store, open_reader, open_store
from gateway.store.postgres import PostgresDatabase, PostgresServer
from gateway.store.rows import DeliveryFilter, Record
from gateway.store.store import Store
from gateway.testing.builders import MOMENT, acceptance, new_delivery

Until = Callable[[Callable[[], object]], None]

SHORT_TTL = timedelta(seconds=0.4)


@pytest.fixture
def url(postgres_url: str) -> str:
    return postgres_url


@pytest.fixture
def opened(url: str) -> Iterator[Callable[..., Store]]:
    """Opens stores on the same database; closes them at the end."""
    stores: list[Store] = []

    def open(at: str = url, **more: Any) -> Store:
        stores.append(open_store(at, **more))
        return stores[-1]

    yield open
    for store in stores:
        store.close()


@pytest.fixture
def database(url: str) -> Iterator[PostgresDatabase]:
    database = PostgresServer(parse_address(url)).open()
    with database.transaction() as connection:
        schema.prepare(connection, "here")
    yield database
    database.close()


# connections


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("synchronous_commit", "on"),
        ("lock_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("application_name", "gateway"),
    ],
)
def test_the_writing_connection_is_set_up_for_durability_and_for_company(
    database: PostgresDatabase, name: str, value: str
) -> None:
    with database.transaction() as connection:
        assert connection.execute(text(f"SHOW {name}")).scalar_one() == value


def test_less_care_can_be_asked_for(url: str) -> None:
    database = PostgresServer(parse_address(url), "normal").open()

    with database.transaction() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "off"
    database.close()


def test_readers_cannot_write(database: PostgresDatabase) -> None:
    with pytest.raises(StoreError, match="read-only"):
        database.read(lambda connection: connection.execute(text("DELETE FROM node")))


def test_a_query_that_takes_too_long_is_stopped_and_the_reader_goes_on(database: PostgresDatabase) -> None:
    with pytest.raises(StoreError, match="too long"):
        database.read(lambda connection: connection.execute(text("SELECT pg_sleep(20)")).scalar_one(), seconds=0.05)

    assert database.read(lambda connection: connection.execute(text("SELECT 1")).scalar_one()) == 1


def test_all_of_one_question_is_answered_from_one_view(url: str, opened: Callable[..., Store]) -> None:
    store = opened()

    def twice(connection: Any) -> tuple[int, int]:
        before = ledger.total(ledger.lines(connection)).accepted
        store.accept(acceptance(new_delivery())).result()
        return before, ledger.total(ledger.lines(connection)).accepted

    assert store.ask(twice) == (0, 0)


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b", "a'; DROP TABLE node; --"])
def test_a_question_about_text_that_no_database_keeps_finds_nothing(opened: Callable[..., Store], name: str) -> None:
    store = opened()
    store.accept(acceptance(new_delivery("ab", handler="ab"))).result()

    assert store.deliveries(DeliveryFilter(channel=name, handler=name)) == []
    assert store.transition(name) is None
    assert store.owed() == 1


def fill(connection: Any) -> None:
    """Much that has ended, and little that is owed, as in a store that has run for long."""
    for statement in (
        "INSERT INTO transition (seq, id, occurred_at, received_at, source, kind, obj_name, flow_name, run_id, "
        "new_type, payload, matched) SELECT n, 't-' || n, n, n, '', 'task', '', '', '', 'Failed', '{}', n % 50 > 0 "
        "FROM generate_series(1, 5000) AS n",
        "INSERT INTO delivery SELECT n, n, 'h', 'c' || n % 7, CASE n % 100 WHEN 0 THEN 'pending' WHEN 1 THEN 'claimed' "
        "WHEN 2 THEN 'dead' ELSE 'delivered' END, '', n, 1, 0, '', '', 'text', 'info', false, n, n, n, 1, 1, NULL "
        "FROM generate_series(1, 5000) AS n",
        "ANALYZE",
    ):
        connection.execute(text(statement))


@pytest.mark.parametrize(
    ("statement", "bound", "index"),
    [
        (operations.DUE, {"wanted_channel": "c1", "now": 900, "limit": 5}, "delivery_due"),
        (operations.EXPIRED, {"channels": ["a", "b"], "now": 9, "orphans_before": 1, "limit": 5}, "delivery_give_up"),
        (queries.NEXT_DUE, {}, "delivery_due"),
        (queries.NEXT_GIVE_UP, {}, "delivery_give_up"),
        (retention.ENDED, {"before": 50, "limit": 5}, "delivery_ended"),
        (retention.UNMATCHED, {"before": 50, "limit": 5}, "transition_unmatched"),
    ],
    ids=["due", "expired", "next due", "next give up", "ended", "unmatched"],
)
def test_what_is_asked_often_is_answered_from_a_partial_index(
    database: PostgresDatabase, statement: Any, bound: dict[str, object], index: str
) -> None:
    with database.transaction() as connection:
        fill(connection)
        sql = statement.compile(dialect=connection.dialect).construct_expanded_state(bound)
        plan = connection.exec_driver_sql(f"EXPLAIN {sql.statement}", sql.parameters).scalars().all()

    scans = [line for line in plan if "Scan" in line and (" on delivery" in line or " on transition" in line)]
    assert scans
    assert all(f"using {index} " in line for line in scans), plan


# what is no store of ours


def test_a_database_that_is_no_store_of_ours_is_refused_and_left_alone(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE customer (id int)")

    with pytest.raises(StoreError, match="tables of another program"):
        open_store(url)
    with pytest.raises(StoreError, match="tables of another program"):
        has_store(url)


def test_a_store_of_a_newer_gateway_is_refused(url: str) -> None:
    open_store(url).close()
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE about SET schema_version = 99")

    with pytest.raises(StoreError, match="newer gateway: its schema is version 99"):
        open_store(url)


def test_a_database_that_cannot_keep_all_text_is_refused(postgres: psycopg.Connection, url: str) -> None:
    name = f"{url.rpartition('/')[2]}_ascii"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        with pytest.raises(StoreError, match="ENCODING 'UTF8'"):
            open_store(f"{url.rpartition('/')[0]}/{name}")
    finally:
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_database_that_is_not_there_is_told_without_the_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    for opening in (open_store, open_reader, has_store):
        with pytest.raises(StoreError, match=r"the store at 127\.0\.0\.1/gateway cannot be reached") as raised:
            opening(f"postgresql://ana:hunter2@127.0.0.1:{port}/gateway")
        assert "hunter2" not in str(raised.value)

    assert "hunter2" not in caplog.text


def test_without_the_driver_the_error_names_what_to_install(url: str) -> None:
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from gateway.store.opening import open_store\n"
        "open_store(sys.argv[1])\n"
    )

    done = subprocess.run([sys.executable, "-c", script, url], capture_output=True, text=True)

    assert "pip install 'psycopg[binary]'" in done.stderr.splitlines()[-1]


def test_a_file_needs_no_driver(sqlite_url: str) -> None:
    script = (
        "import sys; from gateway.store.opening import open_store; open_store(sys.argv[1]).close()\n"
        "print('psycopg' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", script, sqlite_url], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


# several nodes


def test_no_two_nodes_at_work_change_the_same_counts(opened: Callable[..., Store]) -> None:
    stores = [opened() for _ in range(6)]

    shards = {one.ask(lambda connection, node=one.node: shard_of(connection, node)) for one in stores}

    assert shards == set(range(6))


def test_nodes_that_write_at_the_same_time_keep_one_ledger(opened: Callable[..., Store]) -> None:
    stores = [opened() for _ in range(3)]

    answers = [
        store.accept(acceptance(new_delivery(claimed=True), new_delivery("mail")))
        for _ in range(50)
        for store in stores
    ]
    for answer in answers:
        answer.result()

    assert ledger.total(stores[0].ledger()).accepted == 300
    assert all(line.balances for line in stores[0].ledger())
    assert stores[0].counters()["transitions"] == 150
    ids = [one.id for answer in answers for one in answer.result().deliveries]
    assert len(set(ids)) == 300


def test_the_same_told_to_several_nodes_in_any_order_is_kept_once_and_nobody_is_refused(
    opened: Callable[..., Store], caplog: pytest.LogCaptureFixture
) -> None:
    stores = [opened() for _ in range(3)]
    accepted = []
    for turn in range(10):
        ids = [f"t-{turn}-{n}" for n in range(200)]
        orders = [ids, ids[::-1], ids[100:] + ids[:100]]
        told = [
            store.accept_all([acceptance(new_delivery(), id=id) for id in order])
            for store, order in zip(stores, orders, strict=True)
        ]
        accepted += [one for answer in told for one in answer.result()]

    assert sum(not one.duplicate for one in accepted) == 2_000
    assert (stores[0].counters()["transitions"], stores[0].counters()["duplicates"]) == (2_000, 4_000)
    assert stores[0].owed() == 2_000
    assert "waited for each other" not in caplog.text


def test_what_several_nodes_claim_at_the_same_time_each_gets_once(opened: Callable[..., Store]) -> None:
    stores = [opened() for _ in range(3)]
    stores[0].accept(acceptance(*(new_delivery() for _ in range(200)))).result()

    claims = [store.claim("oncall", 7, MOMENT) for _ in range(10) for store in stores]
    claimed = [one.id for claim in claims for one in claim.result()]

    assert len(claimed) == len(set(claimed)) == 200


@pytest.mark.parametrize("how", ["retry", "overflow", "release"])
def test_a_node_hears_when_another_leaves_something_due(opened: Callable[..., Store], how: str, until: Until) -> None:
    here, there = opened(), opened()
    (held,) = there.accept(acceptance(new_delivery(claimed=True))).result().deliveries
    heard = threading.Event()
    here.on_due(heard.set)
    until(heard.is_set)  # once when it begins to listen
    heard.clear()
    there.accept(acceptance(new_delivery("mail", claimed=True))).result()
    assert not heard.is_set()

    if how == "retry":
        there.record(Record(held, "dead", "http_400", MOMENT, MOMENT)).result()
        there.retry(held.id, MOMENT).result()
    elif how == "overflow":
        there.accept(acceptance(new_delivery())).result()
    else:
        there.release().result()

    until(heard.is_set)


def test_a_flood_makes_few_hints(opened: Callable[..., Store], until: Until) -> None:
    here, there = opened(), opened()
    heard: list[int] = []
    here.on_due(lambda: heard.append(1))
    until(lambda: heard)

    for _ in range(100):
        there.accept(acceptance(new_delivery())).result()

    assert len(heard) < 50


def test_who_hears_goes_on_hearing_after_its_connection_was_lost(
    opened: Callable[..., Store], postgres: psycopg.Connection, url: str, until: Until
) -> None:
    here, there = opened(), opened()
    heard: list[int] = []
    here.on_due(lambda: heard.append(1))
    until(lambda: heard)
    terminate(postgres, url)

    until(lambda: len(heard) > 1)  # it listens again
    before = len(heard)
    until(lambda: answered(there))

    until(lambda: len(heard) > before)


def answered(store: Store) -> bool:
    """Whether the store takes something that is due at once."""
    try:
        return bool(store.accept(acceptance(new_delivery())).result())
    except StoreError:
        return False


def terminate(postgres: psycopg.Connection, url: str) -> None:
    name = url.rpartition("/")[2]
    postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


# a database that goes away


def test_connections_that_were_lost_while_idle_are_replaced_unnoticed(
    opened: Callable[..., Store], postgres: psycopg.Connection, url: str
) -> None:
    store = opened()
    (delivery,) = store.accept(acceptance(new_delivery(claimed=True))).result().deliveries
    assert store.owed() == 1

    terminate(postgres, url)

    assert store.accept(acceptance(new_delivery())).result().deliveries
    assert store.owed() == 2
    assert store.record(Record(delivery, "delivered", "ok", MOMENT, MOMENT)).result().kept


class Proxy:
    """Stands between a store and its database; cuts them off from each other when told to."""

    def __init__(self, url: str) -> None:
        address = parse_address(url).parameters
        self._server = (address["host"], int(address.get("port", "5432")))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sides: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.down = self.swallows_answers_to_commits = False
        self.url = f"postgresql://{address['user']}@127.0.0.1:{self._listening.getsockname()[1]}/{address['dbname']}"
        self._begin(self._accept)

    def _begin(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                if self.down:
                    client.close()
                    continue
                server = socket.create_connection(self._server)
                self._sides += [client, server]
                self._begin(self._pump, client, server)

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError, ValueError), client, server:
            while True:
                for side in select.select([client, server], [], [])[0]:
                    data = side.recv(65536)
                    if not data:
                        return
                    (server if side is client else client).sendall(data)
                    if side is client and b"COMMIT" in data and self.swallows_answers_to_commits:
                        server.recv(1)  # the database has answered, and nobody hears it
                        self.down = True
                        return

    def cut(self) -> None:
        self.down = True
        for side in self._sides:
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def restore(self) -> None:
        self.down = self.swallows_answers_to_commits = False

    def close(self) -> None:
        self.cut()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    proxy = Proxy(url)
    yield proxy
    proxy.close()


def test_while_the_database_is_away_new_things_are_refused_and_what_must_be_kept_waits(
    opened: Callable[..., Store], proxy: Proxy
) -> None:
    store = opened(proxy.url)
    (delivery,) = store.accept(acceptance(new_delivery(claimed=True))).result().deliveries
    proxy.cut()

    kept = store.record(Record(delivery, "delivered", "ok", MOMENT, MOMENT))
    with pytest.raises(StoreError, match="cannot be reached"):
        store.accept(acceptance(new_delivery())).result(20)
    with pytest.raises(StoreError, match="cannot be reached"):
        store.owed()
    assert not kept.done()

    proxy.restore()
    assert kept.result(20).kept
    assert store.accept(acceptance(new_delivery())).result(20).deliveries


def test_a_commit_whose_answer_was_lost_counts_as_what_it_was(
    opened: Callable[..., Store], proxy: Proxy, until: Until
) -> None:
    store = opened(proxy.url)
    proxy.swallows_answers_to_commits = True
    answer = store.accept(acceptance(new_delivery(claimed=True)))
    until(lambda: proxy.down)
    assert not answer.done()

    proxy.restore()

    (delivery,) = answer.result(20).deliveries
    assert [one.id for one in store.deliveries()] == [delivery.id]
    assert store.holds(delivery)


def test_who_cannot_learn_what_was_committed_gives_back_whatever_he_may_hold(
    opened: Callable[..., Store], proxy: Proxy, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LONGEST_DOUBT", 0.3)
    store = opened(proxy.url, node_ttl=SHORT_TTL)
    (held,) = store.accept(acceptance(new_delivery(claimed=True))).result().deliveries
    before = store.node
    proxy.swallows_answers_to_commits = True
    with pytest.raises(StoreDoubtError, match="in doubt"):
        store.accept(acceptance(new_delivery("mail", claimed=True))).result(20)

    proxy.restore()

    until(lambda: store.node != before)
    until(lambda: answers(store.next_due) == {"oncall", "mail"})
    assert not store.holds(held)


def answers(question: Callable[[], dict[str, Any]]) -> set[str]:
    try:
        return set(question())
    except StoreError:
        return set()


def test_two_nodes_that_wait_for_each_other_are_told_apart_and_both_go_on(
    opened: Callable[..., Store], url: str, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened()
    first, second = (store.accept(acceptance(new_delivery(), id=id)).result().deliveries[0] for id in ("a", "b"))
    with psycopg.connect(url) as other:
        other.execute("SELECT 1 FROM delivery WHERE id = %s FOR UPDATE", [second.id])
        answers = [store.cancel(one.id, MOMENT) for one in (first, second)]
        watching = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        with psycopg.connect(url, autocommit=True) as watcher:
            until(lambda: watcher.execute(watching).fetchone() == (1,))
        refused = False
        try:
            other.execute("SELECT 1 FROM delivery WHERE id = %s FOR UPDATE", [first.id])
        except psycopg.errors.DeadlockDetected:
            refused = True

    assert [answer.result(20) for answer in answers] == [True, True]
    assert refused or "this one tries again" in caplog.text
