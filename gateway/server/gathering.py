"""Gathering: the transitions of requests that came together, taken together.

Many clients with one transition each would otherwise cost a change of the store, a future and a wake-up
of the event loop each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from itertools import islice

from gateway.server.completions import Completions
from gateway.store.rows import Accepted
from gateway.transition import Transition

MANY = 500
"""More transitions than that at once are taken in a thread."""

Answers = tuple[Accepted, ...]
Take = Callable[[Sequence[Transition]], Future[Answers]]


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """What one request wants to be taken, and who waits for it; ``then`` is called once the store has answered."""

    transitions: Sequence[Transition]
    then: Callable[[], object]
    answer: asyncio.Future[Answers]


@dataclass(slots=True)
class Gathering:
    """Takes the transitions of all requests that one turn of the event loop has read. To be used in that loop only.

    Args:
        take: keeps transitions; :meth:`gateway.app.Gateway.take`.
        completions: of the loop.
        thread: where many at once are taken, so that others need not wait for the rendering.
    """

    take: Take
    completions: Completions
    thread: Executor
    _gathered: list[Wish] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def keep(self, transitions: Sequence[Transition], then: Callable[[], object]) -> asyncio.Future[Answers]:
        """Have ``transitions`` kept; the future has an answer for each, in order.

        It fails with ``StoreError`` if nothing of it was kept, and with ``TimeoutError`` if nobody knows yet.
        ``then`` is called once the store has answered, whether anybody still waits or not.
        """
        loop = asyncio.get_running_loop()
        wish = Wish(transitions, then, loop.create_future())
        self._gathered.append(wish)
        if len(self._gathered) == 1:
            task = loop.create_task(self._take(loop))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return wish.answer

    async def _take(self, loop: asyncio.AbstractEventLoop) -> None:
        wishes, self._gathered = self._gathered, []
        transitions = [one for wish in wishes for one in wish.transitions]
        try:
            if len(transitions) <= MANY:
                kept = self.take(transitions)
            else:
                kept = await loop.run_in_executor(self.thread, self.take, transitions)
        except Exception as error:
            _end(wishes)
            _refuse(wishes, error)
            return
        answered = self.completions.of(kept, lambda: _end(wishes))
        answered.add_done_callback(lambda done: _hand_out(wishes, done))


def _end(wishes: Sequence[Wish]) -> None:
    for wish in wishes:
        wish.then()


def _hand_out(wishes: Sequence[Wish], done: asyncio.Future[Answers]) -> None:
    if (error := done.exception()) is not None:
        _refuse(wishes, error)
        return
    answers = iter(done.result())
    for wish in wishes:
        own = tuple(islice(answers, len(wish.transitions)))
        if not wish.answer.done():
            wish.answer.set_result(own)


def _refuse(wishes: Sequence[Wish], error: BaseException) -> None:
    for wish in wishes:
        if not wish.answer.done():
            wish.answer.set_exception(error)
