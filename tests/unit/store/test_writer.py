"""Group commit: what shares a transaction, and what happens when one fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from gateway.errors import StoreClosedError, StoreError, StoreFullError
from gateway.store.sqlite import SqliteDatabase
from gateway.store.writer import Writer

DEADLINE = 20


class Desk:
    """A writer on a real database with a table of numbers, whose next transaction can be held up."""

    def __init__(self, path: Path) -> None:
        self.database = SqliteDatabase(path, "full")
        self.transactions = 0
        self.gate = threading.Event()
        self.gate.set()
        self.beats = 0
        self.reliefs = 0
        self.relief: int | None = None
        with self.database.transaction() as connection:
            connection.execute(text("CREATE TABLE number (n INTEGER PRIMARY KEY)"))
        self.writer = Writer(self._transaction, lambda: 7, self._beat, beat_every=0.02, relieve=self._relieve)
        self.writer.start()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        self.gate.wait(DEADLINE)
        with self.database.transaction() as connection:
            self.transactions += 1
            yield connection

    def _relieve(self) -> None:
        self.reliefs += 1
        if self.relief is not None:
            with self.database.transaction() as connection:
                limit_size(connection, 7, [self.relief])

    def _beat(self) -> None:
        self.beats += 1

    def numbers(self) -> list[int]:
        query = text("SELECT n FROM number ORDER BY n")
        return list(self.database.read(lambda connection: connection.execute(query).scalars().all()))

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """What is submitted inside waits and comes together."""
        self.gate.clear()
        self.writer.submit(nothing, None)
        try:
            yield
        finally:
            self.gate.set()

    def close(self) -> None:
        self.writer.close()
        self.database.close()


def nothing(connection: Connection, node: int, arguments: Sequence[None]) -> list[None]:
    return [None for _ in arguments]


def add(connection: Connection, node: int, numbers: Sequence[int]) -> list[tuple[int, int]]:
    connection.execute(text("INSERT INTO number (n) VALUES (:n)"), [{"n": n} for n in numbers])
    return [(node, n) for n in numbers]


def stumble(connection: Connection, node: int, arguments: Sequence[str]) -> list[None]:
    raise ValueError(arguments[0])


def limit_size(connection: Connection, node: int, pages: Sequence[int]) -> list[None]:
    connection.exec_driver_sql(f"PRAGMA max_page_count = {pages[-1]}")
    return [None for _ in pages]


def fill(connection: Connection, node: int, texts: Sequence[str]) -> list[str]:
    connection.execute(text("CREATE TABLE IF NOT EXISTS filling (t TEXT)"))
    connection.execute(text("INSERT INTO filling (t) VALUES (:t)"), [{"t": t} for t in texts])
    return list(texts)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "numbers.db")
    yield desk
    desk.close()


def test_each_answer_goes_to_who_asked(desk: Desk) -> None:
    answers = [desk.writer.submit(add, n) for n in range(20)]

    assert [answer.result(DEADLINE) for answer in answers] == [(7, n) for n in range(20)]
    assert desk.numbers() == list(range(20))


def test_what_comes_while_a_transaction_is_written_shares_the_next(desk: Desk) -> None:
    with desk.held_up():
        answers = [desk.writer.submit(add, n) for n in range(50)]
    for answer in answers:
        answer.result(DEADLINE)

    assert desk.transactions <= 2


def test_one_that_fails_spoils_nothing_for_the_others(desk: Desk) -> None:
    with desk.held_up():
        good = [desk.writer.submit(add, n) for n in (1, 2)]
        bad: Future[Any] = desk.writer.submit(stumble, "no good")
        twice = desk.writer.submit(add, 1)

    assert [answer.result(DEADLINE) for answer in good] == [(7, 1), (7, 2)]
    with pytest.raises(ValueError, match="no good"):
        bad.result(DEADLINE)
    with pytest.raises(StoreError, match="UNIQUE"):
        twice.result(DEADLINE)
    assert desk.numbers() == [1, 2]


def test_an_error_of_the_database_shows_no_values(desk: Desk) -> None:
    secret = "s3cr3t-token"
    desk.writer.submit(limit_size, 3).result(DEADLINE)

    with pytest.raises(StoreFullError) as raised:
        desk.writer.submit(fill, secret * 10_000).result(DEADLINE)

    assert secret not in str(raised.value)


def test_on_a_full_disk_the_caller_is_told_and_what_must_be_kept_is_written_once_there_is_room(desk: Desk) -> None:
    desk.writer.submit(limit_size, 3).result(DEADLINE)
    refused = desk.writer.submit(fill, "x" * 100_000)
    kept = desk.writer.submit(fill, "y" * 100_000, kept=True)

    with pytest.raises(StoreFullError, match="no room"):
        refused.result(DEADLINE)
    assert not kept.done()

    desk.writer.submit(limit_size, 100_000).result(DEADLINE)
    assert kept.result(DEADLINE) == "y" * 100_000


def test_room_is_made_when_there_is_none_and_what_must_be_kept_goes_first_into_it(desk: Desk) -> None:
    desk.writer.submit(limit_size, 3).result(DEADLINE)
    desk.relief = 100_000
    with desk.held_up():
        kept = desk.writer.submit(fill, "y" * 100_000, kept=True)
        refused = desk.writer.submit(fill, "x" * 100_000)

    with pytest.raises(StoreFullError):
        refused.result(DEADLINE)
    assert kept.result(DEADLINE) == "y" * 100_000
    assert desk.reliefs == 1


def test_room_that_is_made_in_the_last_moment_is_used(desk: Desk) -> None:
    desk.writer.submit(limit_size, 3).result(DEADLINE)
    desk.relief = 100_000
    with desk.held_up():
        kept = desk.writer.submit(fill, "y" * 100_000, kept=True)
        desk.writer._queue.put(None)  # the end comes together with the work

    assert kept.result(DEADLINE) == "y" * 100_000


def test_other_errors_are_no_reason_to_make_room(desk: Desk) -> None:
    with pytest.raises(ValueError, match="no good"):
        desk.writer.submit(stumble, "no good").result(DEADLINE)

    assert not desk.reliefs


def test_what_has_to_wait_for_room_keeps_nobody_else_out(desk: Desk) -> None:
    desk.writer.submit(limit_size, 3).result(DEADLINE)
    kept = desk.writer.submit(fill, "y" * 100_000, kept=True)
    with pytest.raises(StoreFullError):
        desk.writer.submit(fill, "x" * 100_000).result(DEADLINE)

    assert desk.writer.submit(add, 1).result(DEADLINE) == (7, 1)
    assert not kept.done()


def test_closing_writes_what_is_queued_and_refuses_what_comes_later(desk: Desk) -> None:
    with desk.held_up():
        answer = desk.writer.submit(add, 5)
    desk.writer.close()

    assert answer.result(0) == (7, 5)
    with pytest.raises(StoreClosedError):
        desk.writer.submit(add, 6)


def test_what_cannot_be_written_before_closing_is_refused(desk: Desk) -> None:
    desk.writer.submit(limit_size, 3).result(DEADLINE)
    kept = desk.writer.submit(fill, "y" * 100_000, kept=True)

    desk.writer.close()

    with pytest.raises(StoreClosedError):
        kept.result(0)


def test_a_caller_who_has_lost_interest_is_passed_over(desk: Desk) -> None:
    with desk.held_up():
        given_up = desk.writer.submit(add, 1)
        assert given_up.cancel()
    desk.writer.submit(add, 2).result(DEADLINE)

    assert desk.numbers() == [2]


def test_the_heart_beats_with_and_without_work(desk: Desk) -> None:
    waited = threading.Event()
    for _ in range(100):
        if desk.beats >= 3:
            break
        waited.wait(0.05)

    assert desk.beats >= 3
