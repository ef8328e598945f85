"""The planted bugs, and the points at which a process can be stopped to let them show.

A test plays the same scene with each bug and without: the audit must name what is broken, and nothing otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any

from sqlalchemy import text

from gateway.app import Gateway
from gateway.channels.base import Outcome
from gateway.delivery.dispatcher import Dispatcher
from gateway.delivery.lane import Lane
from gateway.delivery.rate import RateLimiter
from gateway.store import nodes, operations
from gateway.store.rows import Accepted, Attempt, Record
from gateway.transition import Transition

PassBy = Callable[[str], None]

WRITTEN = "written"
"""In the transaction that takes a transition, before its commit."""

BETWEEN = "between"
"""After the transition's row, before those of its deliveries."""

SENDING = "sending"
"""Before a message leaves."""

SENT = "sent"
"""After a message was answered, before that is recorded."""


def plant(mutant: str, pass_by: PassBy) -> None:
    """Set the points, and the bug of that name if there is one."""
    _set_points(pass_by)
    if mutant:
        MUTANTS[mutant](pass_by)


def _set_points(pass_by: PassBy) -> None:
    accept, insert_deliveries, ask = operations.accept, operations._insert_deliveries, Lane._ask

    def accept_and_pass(connection: Any, node: int, acceptances: Any) -> Any:
        accepted = accept(connection, node, acceptances)
        pass_by(WRITTEN)
        return accepted

    def pass_and_insert(*arguments: Any) -> None:
        pass_by(BETWEEN)
        insert_deliveries(*arguments)

    def pass_ask_and_pass(self: Lane, delivery: Any) -> Outcome:
        pass_by(SENDING)
        outcome = ask(self, delivery)
        pass_by(SENT)
        return outcome

    operations.accept = accept_and_pass
    operations._insert_deliveries = pass_and_insert
    Lane._ask = pass_ask_and_pass  # type: ignore[method-assign]


def _acknowledge_before_commit(pass_by: PassBy) -> None:
    take = Gateway.take

    def taken_at_once(self: Gateway, transitions: Iterable[Transition]) -> Future[tuple[Accepted, ...]]:
        taken = list(transitions)
        take(self, taken)
        answer: Future[tuple[Accepted, ...]] = Future()
        answer.set_result(tuple(Accepted(duplicate=False) for _ in taken))
        return answer

    Gateway.take = taken_at_once  # type: ignore[method-assign]


def _finish_before_send(pass_by: PassBy) -> None:
    def finish_and_send(self: Lane, sending: Any) -> None:
        now = self._clock.now()
        attempt = Attempt(now, "delivered", "ok", "", 0)
        self._desk.record(Record(sending.delivery, "delivered", "ok", now, now, attempt))
        self._ask(sending.delivery)

    assert Lane._deliver
    Lane._deliver = finish_and_send  # type: ignore[method-assign]


def _recover_no_claims(pass_by: PassBy) -> None:
    assert nodes.return_claims
    nodes.return_claims = lambda connection: None


def _commit_in_two_transactions(pass_by: PassBy) -> None:
    insert_deliveries = operations._insert_deliveries

    def commit_pass_and_insert(connection: Any, *arguments: Any) -> None:
        connection.exec_driver_sql("COMMIT")
        pass_by(BETWEEN)
        connection.exec_driver_sql("BEGIN")
        insert_deliveries(connection, *arguments)

    operations._insert_deliveries = commit_pass_and_insert


def _check_no_duplicates(pass_by: PassBy) -> None:
    accept = operations.accept
    forget = text("UPDATE transition SET id = id || '-' || seq WHERE id = :id")

    def accept_as_new(connection: Any, node: int, acceptances: Sequence[Any]) -> Any:
        for acceptance in acceptances:
            connection.execute(forget, {"id": acceptance.transition.id})
        return accept(connection, node, acceptances)

    operations.accept = accept_as_new


def _follow_no_clock(pass_by: PassBy) -> None:
    assert Dispatcher._follow_clock
    Dispatcher._follow_clock = lambda self, now: None  # type: ignore[method-assign]


def _pause_for_nobody(pass_by: PassBy) -> None:
    assert RateLimiter.hold_until
    RateLimiter.hold_until = lambda self, at: None  # type: ignore[method-assign]


def _hold_for_ever(pass_by: PassBy) -> None:
    assert Dispatcher.holds
    Dispatcher.holds = lambda self, delivery: True  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[PassBy], None]] = {
    "acknowledge-before-commit": _acknowledge_before_commit,
    "finish-before-send": _finish_before_send,
    "no-claim-recovery": _recover_no_claims,
    "two-transactions": _commit_in_two_transactions,
    "no-duplicate-check": _check_no_duplicates,
    "clock-not-followed": _follow_no_clock,
    "no-pause": _pause_for_nobody,
    "no-fence": _hold_for_ever,
}
