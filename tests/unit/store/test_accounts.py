"""Whatever happens in whatever order, nothing is lost, nothing ends twice, and the ledger balances."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, create_engine, event, func, select

from gateway.store import ledger, nodes, operations, retention, schema
from gateway.store.instants import to_milliseconds
from gateway.store.operations import Order
from gateway.store.retention import Expired
from gateway.store.rows import Attempt, Delivery, Record, Want, WantExpired
from gateway.testing.builders import MOMENT, acceptance, new_delivery

CHANNELS = ("oncall", "mail")
SECOND = timedelta(seconds=1)
EVER = timedelta(days=400)


def connect(address: str = "sqlite://") -> Connection:
    """A connection in a transaction that is never committed: what a machine does is gone with it."""
    engine = create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
    if address.startswith("sqlite"):
        event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA foreign_keys = ON"))
    connection = engine.connect()
    schema.prepare(connection, "machine")
    return connection


class Books(RuleBasedStateMachine):
    """Three nodes accept, claim, send, record and crash on one store; every step is a transaction."""

    def __init__(self, address: str = "sqlite://") -> None:
        super().__init__()
        self.connection = connect(address)
        self.nodes = [nodes.register(self.connection) for _ in range(3)]
        self.in_memory: dict[int, list[Delivery]] = {node: [] for node in self.nodes}
        self.accepted: set[int] = set()
        self.forgotten: Counter[tuple[str, str]] = Counter()
        self.sent: Counter[int] = Counter()
        self.receipts: Counter[int] = Counter()
        self.transitions = 0
        self.now = MOMENT

    def teardown(self) -> None:
        self.drain()
        self.connection.close()
        self.connection.engine.dispose()

    # what may happen

    @initialize()
    def first(self) -> None:
        self.accept(0, True, 2, False)

    @rule(node=st.integers(0, 2), claimed=st.booleans(), copies=st.integers(1, 3), again=st.booleans())
    def accept(self, node: int, claimed: bool, copies: int, again: bool) -> None:
        self.transitions += not again or not self.transitions
        new = [new_delivery(CHANNELS[n % 2], claimed=claimed, give_up_after=60 * SECOND) for n in range(copies)]
        wanted = acceptance(*new, id=f"t-{self.transitions}", now=self.now)
        (result,) = operations.accept(self.connection, self.nodes[node], [wanted])
        self.accepted |= {delivery.id for delivery in result.deliveries}
        self.in_memory[self.nodes[node]] += [one for one in result.deliveries if one.status == "claimed"]

    @rule(node=st.integers(0, 2), channel=st.sampled_from(CHANNELS), limit=st.integers(1, 5))
    def claim(self, node: int, channel: str, limit: int) -> None:
        me = self.nodes[node]
        (taken,) = operations.claim(self.connection, me, [Want(channel, limit, self.now)])
        self.in_memory[me] += taken

    @precondition(lambda self: any(self.in_memory.values()))
    @rule(data=st.data(), status=st.sampled_from(["delivered", "pending", "dead"]), crash=st.booleans())
    def send(self, data: st.DataObject, status: str, crash: bool) -> None:
        me = data.draw(st.sampled_from([node for node, held in self.in_memory.items() if held]))
        delivery = self.in_memory[me].pop(data.draw(st.integers(0, len(self.in_memory[me]) - 1)))
        self.sent[delivery.id] += status == "delivered"
        if crash:
            self.crash(self.position_of(me))
        self.record(me, delivery, status)

    def position_of(self, me: int) -> int:
        return self.nodes.index(me) if me in self.nodes else 0

    def record(self, me: int, delivery: Delivery, status: str) -> None:
        kind = "delivered" if status == "delivered" else "temporary"
        attempt = Attempt(self.now, kind, "ok", "", 1)
        falls_back = status == "dead" and delivery.fallback_of is None
        fallback = new_delivery("mail", claimed=True, give_up_after=60 * SECOND) if falls_back else None
        one = Record(delivery, status, "", self.now, self.now + SECOND, attempt, True, fallback)
        (recorded,) = operations.record(self.connection, me, [one])
        self.receipts[delivery.id] += recorded.kept and status == "delivered"
        if recorded.fallback is not None:
            self.accepted.add(recorded.fallback.id)
            self.in_memory.setdefault(me, []).append(recorded.fallback)

    @rule(node=st.integers(0, 2))
    def crash(self, node: int) -> None:
        """The others notice that it is silent. Its sends in progress go on: it may only have been stopped."""
        gone = self.nodes[node]
        self.connection.execute(schema.node.delete().where(schema.node.c.id == gone))
        nodes.return_claims(self.connection)
        self.nodes[node] = nodes.register(self.connection)
        self.in_memory[self.nodes[node]] = []

    @rule(node=st.integers(0, 2))
    def release(self, node: int) -> None:
        operations.release(self.connection, self.nodes[node], [None])
        self.in_memory[self.nodes[node]] = []

    @rule(node=st.integers(0, 2))
    def end_expired(self, node: int) -> None:
        me = self.nodes[node]
        wanted = WantExpired(CHANNELS, self.now, SECOND, 5)
        for delivery in operations.claim_expired(self.connection, me, [wanted])[0]:
            operations.record(self.connection, me, [Record(delivery, "dead", "give_up", self.now, self.now)])

    @precondition(lambda self: self.accepted)
    @rule(data=st.data(), order=st.sampled_from([operations.retry, operations.cancel]))
    def by_hand(self, data: st.DataObject, order: operations.Operation[Order, bool]) -> None:
        order(self.connection, 0, [Order(data.draw(st.sampled_from(sorted(self.accepted))), self.now)])

    @rule(seconds=st.integers(0, 10), limit=st.integers(1, 4))
    def forget(self, seconds: int, limit: int) -> None:
        """What ended so many seconds ago goes; nothing else does."""
        before = self.now - seconds * SECOND
        table = schema.delivery.c
        ended = select(table.id, table.channel, table.status).where(
            schema.IS_ENDED, table.updated_at < to_milliseconds(before)
        )
        candidates = {row.id: row for row in self.connection.execute(ended)}
        (done,) = retention.forget(self.connection, 0, [Expired(before, before, limit)])
        kept = set(self.connection.execute(select(table.id)).scalars())
        gone = self.accepted - kept
        assert gone <= set(candidates)
        assert len(gone) == done.deliveries == min(limit, len(candidates))
        for id in gone:
            self.forgotten[candidates[id].channel, "accepted"] += 1
            self.forgotten[candidates[id].channel, candidates[id].status] += 1
        self.accepted = kept

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    # what must hold

    @invariant()
    def the_ledger_balances_and_is_true(self) -> None:
        table = schema.delivery.c
        counted = self.connection.execute(
            select(table.channel, table.status, func.count()).group_by(table.channel, table.status)
        )
        real: Counter[tuple[str, str]] = Counter()
        for channel, status, n in counted:
            real[channel, "accepted"] += n
            real[channel, "owed" if status in ledger.OWED else status] += n
        lines = ledger.lines(self.connection)
        kept = {
            (line.channel, account): getattr(line, account)
            for line in lines
            for account in ("accepted", "delivered", "suppressed", "dead", "cancelled", "owed")
            if getattr(line, account)
        }
        assert all(line.balances for line in lines)
        assert kept == dict(real + self.forgotten)

    @invariant()
    def every_delivery_has_its_transition_and_none_is_kept_for_nothing(self) -> None:
        caused = set(self.connection.execute(select(schema.delivery.c.transition_seq)).scalars())
        assert set(self.connection.execute(select(schema.transition.c.seq)).scalars()) == caused
        tried = set(self.connection.execute(select(schema.attempt.c.delivery_id)).scalars())
        assert tried <= self.accepted

    @invariant()
    def nothing_accepted_is_lost(self) -> None:
        kept = set(self.connection.execute(select(schema.delivery.c.id)).scalars())
        assert kept == self.accepted

    @invariant()
    def no_delivery_has_two_receipts_and_none_without_having_been_sent(self) -> None:
        assert all(n <= 1 for n in self.receipts.values())
        assert all(self.sent[id] >= n for id, n in self.receipts.items())

    @invariant()
    def claims_belong_to_nodes_that_are_there(self) -> None:
        table = schema.delivery.c
        owners = set(self.connection.execute(select(table.owner).where(table.status == "claimed")).scalars())
        assert owners <= set(self.nodes)

    @invariant()
    def attempts_are_numbered_without_gaps(self) -> None:
        table = schema.attempt.c
        grouped = select(table.delivery_id, func.count(), func.max(table.n)).group_by(table.delivery_id)
        assert all(n == highest for _, n, highest in self.connection.execute(grouped))

    def drain(self) -> None:
        """When all is quiet, whatever is still owed can be sent."""
        nodes.forget_all(self.connection)
        me = nodes.register(self.connection)
        for channel in CHANNELS:
            for delivery in operations.claim(self.connection, me, [Want(channel, 10_000, self.now + EVER)])[0]:
                self.sent[delivery.id] += 1
                self.record(me, delivery, "delivered")
        assert not ledger.total(ledger.lines(self.connection)).owed


@pytest.mark.parametrize("any_url", ["sqlite", "postgresql"], indirect=True)
def test_any_order_of_events_keeps_the_books(any_url: str) -> None:
    on_file = any_url.startswith("sqlite")
    run_state_machine_as_test(
        lambda: Books("sqlite://" if on_file else any_url),
        settings=settings(
            max_examples=60 if on_file else 8,
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


@pytest.mark.parametrize("account", ["delivered", "owed"])
def test_a_wrong_count_would_be_noticed(account: str) -> None:
    connection = connect()
    connection.execute(schema.ledger.insert().values(handler="h", channel="oncall", account=account, count=1))

    assert not ledger.lines(connection)[0].balances
    connection.close()
    connection.engine.dispose()
