"""Requests that come together are taken together, and each gets its own answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from gateway.errors import StoreClosedError, StoreFullError
from gateway.server.completions import Completions
from gateway.server.gathering import MANY, Answers, Gathering
from gateway.store.rows import Accepted
from gateway.testing.builders import transition
from gateway.transition import Transition


class Store:
    """Takes when told to; a transition named ``seen`` is a repeat."""

    def __init__(self) -> None:
        self.taken: list[list[Transition]] = []
        self.futures: list[Future[Answers]] = []

    def take(self, transitions: Sequence[Transition]) -> Future[Answers]:
        self.taken.append(list(transitions))
        self.futures.append(Future())
        return self.futures[-1]

    def commit(self) -> None:
        for transitions, future in zip(self.taken, self.futures, strict=True):
            future.set_result(tuple(Accepted(one.obj.name == "seen") for one in transitions))


def gathering(take: Callable[[Sequence[Transition]], Future[Answers]], patience: float = 30.0) -> Gathering:
    return Gathering(take, Completions(asyncio.get_running_loop(), patience), ThreadPoolExecutor(1))


def nothing() -> None:
    pass


async def turn() -> None:
    """Let everything that is ready run."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_requests_of_one_turn_are_one_change_of_the_store_and_answered_each_for_itself() -> None:
    async def scene() -> None:
        store = Store()
        gathered = gathering(store.take)
        answers = [
            gathered.keep([transition(task="a"), transition(task="seen")], nothing),
            gathered.keep([transition(task="b")], nothing),
            gathered.keep([], nothing),
        ]
        await turn()
        store.commit()

        got = await asyncio.gather(*answers)

        assert [[one.duplicate for one in answer] for answer in got] == [[False, True], [False], []]
        assert [[one.obj.name for one in batch] for batch in store.taken] == [["a", "seen", "b"]]

    asyncio.run(scene())


def test_what_comes_in_a_later_turn_does_not_wait_for_the_one_before() -> None:
    async def scene() -> None:
        store = Store()
        gathered = gathering(store.take)
        first = gathered.keep([transition()], nothing)
        await turn()
        second = gathered.keep([transition()], nothing)
        await turn()

        assert len(store.taken) == 2
        store.futures[1].set_result((Accepted(False),))
        await second
        assert not first.done()

    asyncio.run(scene())


def test_many_at_once_are_taken_in_a_thread() -> None:
    async def scene() -> None:
        threads: list[str] = []

        def take(transitions: Sequence[Transition]) -> Future[Answers]:
            threads.append(threading.current_thread().name)
            done: Future[Answers] = Future()
            done.set_result(tuple(Accepted(False) for _ in transitions))
            return done

        one = transition()
        gathered = gathering(take)
        assert len(await gathered.keep([one] * (MANY + 1), nothing)) == MANY + 1
        assert threads[0] != "MainThread"

    asyncio.run(scene())


@pytest.mark.parametrize("error", [StoreFullError("full"), StoreClosedError("closed"), ValueError("a mistake")])
@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_store_that_refuses_is_heard_by_all_and_the_room_is_given_back(error: Exception, when: str) -> None:
    def take(transitions: Sequence[Transition]) -> Future[Answers]:
        if when == "at once":
            raise error
        refused: Future[Answers] = Future()
        refused.set_exception(error)
        return refused

    async def scene() -> None:
        given_back: list[int] = []
        gathered = gathering(take)
        answers = [gathered.keep([transition()], lambda n=n: given_back.append(n)) for n in (1, 2)]  # type: ignore[misc]

        heard = await asyncio.gather(*answers, return_exceptions=True)

        assert heard == [error, error]
        assert given_back == [1, 2]

    asyncio.run(scene())


def test_one_who_has_gone_keeps_nobody_from_his_answer_and_his_room_is_given_back() -> None:
    async def scene() -> None:
        store, given_back = Store(), list[str]()
        gathered = gathering(store.take)
        gone = gathered.keep([transition()], lambda: given_back.append("gone"))
        stays = gathered.keep([transition(task="seen")], lambda: given_back.append("stays"))
        await turn()
        gone.cancel()
        store.commit()

        assert [one.duplicate for one in await stays] == [True]
        assert given_back == ["gone", "stays"]

    asyncio.run(scene())


def test_who_waits_too_long_is_told_and_the_room_stays_taken_until_the_store_has_answered() -> None:
    async def scene() -> None:
        store, given_back = Store(), list[int]()
        gathered = gathering(store.take, patience=-1.0)
        answer = gathered.keep([transition()], lambda: given_back.append(1))
        await turn()
        gathered.completions.expire()

        with pytest.raises(TimeoutError):
            await answer
        assert given_back == []
        store.commit()
        await asyncio.sleep(0.01)
        assert given_back == [1]

    asyncio.run(scene())
