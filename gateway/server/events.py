"""Events: what comes by HTTP in the form of an open standard, whose sources do not tell the state before."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from gateway.errors import PayloadError, StoreError
from gateway.server.answers import COME_AGAIN, Answer, RefusedError
from gateway.server.intake import Intake, counts, kept
from gateway.server.room import Share
from gateway.sources.reading import Ignored, Misread, Reading, Reported
from gateway.sources.runs import Runs
from gateway.store.arrivals import RunKey
from gateway.store.rows import Accepted, NewRefused
from gateway.transition import Transition

Read = Callable[[bytes], list[Reading]]
"""What the events of a body turned out to be, in order; raises ``PayloadError`` if there are none to be seen in it."""

UNCHANGED = "unchanged"
"""Why an event is ignored whose run is known to be in that state."""


@dataclass(frozen=True, slots=True)
class Form:
    """One form of events.

    Attributes:
        source: the word for it.
        reader: looks at the head of a request, and returns what reads its body; raises ``RefusedError``.
        taken: the status of an answer to events that were kept.
        ignored: the status where there was nothing to keep.
    """

    source: str
    reader: Callable[[Request], Read]
    taken: int = 202
    ignored: int = 202


class Memory:
    """Has the store asked for runs that are not in memory: once for all requests that one turn of the loop has read.

    Args:
        runs: knows the last state of each run.
        intake: has the thread in which the store is asked.
    """

    def __init__(self, runs: Runs, intake: Intake) -> None:
        self._runs, self._intake = runs, intake
        self._wanted: set[RunKey] = set()
        self._asking: asyncio.Task[None] | None = None

    async def settle(self, reported: Sequence[Sequence[Reported]]) -> list[list[Transition]]:
        """What of each event is news, with the state before. To be handed over at once: what follows goes by it.

        Raises:
            StoreError: the store does not answer.
        """
        if unknown := self._runs.unknown([one for event in reported for one in event]):
            self._wanted |= unknown
            if self._asking is None:
                self._asking = asyncio.get_running_loop().create_task(self._ask())
            await asyncio.shield(self._asking)
        return [self._runs.settle(event) for event in reported]

    async def _ask(self) -> None:
        asked, self._wanted, self._asking = self._wanted, set(), None
        self._runs.learn(asked, await self._intake.in_thread(self._runs.ask, asked))

    def forget(self, transitions: Sequence[Transition]) -> None:
        """Know nothing of the runs of what the store did not take."""
        self._runs.forget(transitions)

    def doubt(self, repeats: Iterable[Transition]) -> None:
        """Ask the store again for the runs of which ``repeats`` were taken for the latest."""
        self._runs.doubt(repeats)


class Events:
    """Takes the events of one form.

    Args:
        intake: what all that take transitions share.
        form: how the events are read.
        memory: knows the last state of each run; shared by all forms.
    """

    def __init__(self, intake: Intake, form: Form, memory: Memory) -> None:
        self._intake, self._form, self._memory = intake, form, memory
        self._gathering = intake.gathering(partial(intake.gateway.take, kept=True, with_runs=True))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keep the transitions that the events of a body tell of.

        Raises:
            RefusedError: nothing of it was kept, and why.
            ClientDisconnect: nobody waits for an answer.
        """
        await self._intake.answer(self._take, scope, receive, send)

    async def _take(self, request: Request) -> Answer:
        try:
            return await self._taken(request)
        except RefusedError as refused:
            if refused.status == 429:  # few clients of these standards try again after it, nearly all after this
                raise RefusedError(503, refused.detail, refused.headers, reason=refused.reason) from None
            raise

    async def _taken(self, request: Request) -> Answer:
        received = self._intake.admits(request)
        read = self._form.reader(request)
        share = self._intake.share()
        try:
            whole = await received(share)
            readings = await self._read(read, whole)
            reported = [reading for reading in readings if isinstance(reading, tuple)]
            share.take(transitions=sum(map(len, reported)))
            self._intake.check_disk()
            news = await self._settled(reported)
        except BaseException:
            share.give_back()
            raise
        accepted = await self._kept([one for event in news for one in event], share)
        return await self._answer(readings, accepted, unchanged=news.count([]))

    async def _read(self, read: Read, whole: bytes) -> list[Reading]:
        try:
            return await self._intake.aside(len(whole), read, whole)
        except PayloadError as error:
            self._intake.measures.malformed(1)
            await self._refuse([Misread(error.complaints, whole.decode("utf-8", "replace"))])
            raise RefusedError(400, "; ".join(error.complaints)) from None

    async def _settled(self, reported: Sequence[Sequence[Reported]]) -> list[list[Transition]]:
        try:
            return await self._memory.settle(reported)
        except StoreError:
            raise RefusedError(503, "the store does not answer at present", COME_AGAIN, reason="store") from None

    async def _kept(self, transitions: list[Transition], share: Share) -> tuple[Accepted, ...]:
        if not transitions:
            share.give_back()
            return ()
        try:
            accepted = await kept(self._gathering, transitions, share)
        except RefusedError:
            self._memory.forget(transitions)
            raise
        self._memory.doubt(one for one, known in zip(transitions, accepted, strict=True) if known.duplicate)
        return accepted

    async def _answer(self, readings: Sequence[Reading], accepted: Sequence[Accepted], unchanged: int) -> Answer:
        misread = {index: one for index, one in enumerate(readings) if isinstance(one, Misread)}
        ignored = self._count_ignored(readings, unchanged)
        told: dict[str, Any] = {**counts(accepted), "ignored": ignored}
        if misread:
            self._intake.measures.malformed(len(misread))
            await self._refuse(misread.values())
            told["errors"] = [{"index": at, "complaints": one.complaints} for at, one in misread.items()]
            if len(misread) == len(readings):
                detail = "; ".join(_first_complaints(misread.values()))
                raise RefusedError(422, detail, more=told)
        status = self._form.taken if accepted else self._form.ignored
        return Answer(json.dumps(told).encode(), status)

    def _count_ignored(self, readings: Iterable[Reading], unchanged: int) -> int:
        reasons = Counter(one.why for one in readings if isinstance(one, Ignored))
        if unchanged:
            reasons[UNCHANGED] += unchanged
        for why, number in reasons.items():
            self._intake.measures.ignored(self._form.source, why, number)
        return reasons.total()

    async def _refuse(self, misread: Iterable[Misread]) -> None:
        """Keep what was not understood, for somebody to look at. The answer says it all even if that fails."""
        gateway, source = self._intake.gateway, self._form.source
        with suppress(StoreError, TimeoutError):
            now = gateway.store.now()
            events = [NewRefused(source, now, "; ".join(one.complaints), one.text) for one in misread]
            await self._intake.completions.of(gateway.refuse(events), lambda: None)


MOST_TOLD = 3
"""Of so many events, what is wrong with them is told in words too."""


def _first_complaints(misread: Iterable[Misread]) -> list[str]:
    """What is wrong with the first few."""
    return [complaint for one in list(misread)[:MOST_TOLD] for complaint in one.complaints]
