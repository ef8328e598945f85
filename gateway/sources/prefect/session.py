"""Session: one Prefect server being followed, as one declaration says; all of it in one event loop.

Three ways lead to the same transitions, and the store keeps each once: the stream (at once, and lossy), the sweep (all
the server has kept, a few seconds later), and the states of runs (where the server itself has lost events).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.compile import PrefectServer
from gateway.config.duration import format_roughly
from gateway.delivery.notice import Notice, Notify
from gateway.errors import SourceError, StoreClosedError, StoreError
from gateway.sources.prefect.api import Api, ApiError
from gateway.sources.prefect.contact import Contact
from gateway.sources.prefect.details import Details
from gateway.sources.prefect.filters import changes
from gateway.sources.prefect.gaps import Gap, Gaps, RunKind, made_at
from gateway.sources.prefect.instants import latest
from gateway.sources.prefect.keeper import Keeper, Sink
from gateway.sources.prefect.mapping import SOURCE
from gateway.sources.prefect.names import Names
from gateway.sources.prefect.paging import pages
from gateway.sources.prefect.reach import Look, Reach
from gateway.sources.prefect.recovery import Recovery
from gateway.sources.prefect.report import Report
from gateway.sources.prefect.stream import Stream, event_of
from gateway.sources.prefect.vigil import Search, Vigil
from gateway.sources.prefect.waits import Waits
from gateway.store.rows import Position
from gateway.transition import Transition

log = logging.getLogger("gateway.prefect")

BEGINNING = f"{SOURCE}/beginning"
"""The position at which a server was first read, as the store names it."""

PAGES_AT_A_TIME = 8
"""Pages that are on their way into the store; the next one is read when there are fewer."""

SHORTEST_PAUSE = 1.0
"""Seconds between two sweeps, however much the next one is wanted; and no less than the last one took."""

EVENTS_AT_A_TIME = 250
"""Events of the stream that go into the store together, at most; as many more are read ahead."""

BATCHES_AT_A_TIME = 8
"""So many of these are on their way into the store; the stream is read on when there are fewer."""

LONGEST_STEP = timedelta(seconds=30)
"""The position is noted when it has moved so far, or a quarter of the overlap: an idle gateway hardly writes."""

MOST_CLOSED = 5
"""So often, one after the other, the stream may break before it is said aloud: within some ten seconds."""

VIGIL_SECONDS = 5.0
"""How often silent runs are looked for, at most; more often where runs may be silent for less than that."""


class Session:
    """Follows one server until it is cancelled.

    Args:
        server: which.
        sink: where transitions go.
        report: what is written of how it goes.
        notify: told of what operators should hear of.
        began_at: since when the gateway follows anything, for a server that was never followed before.
        is_first: whether it is the first since then; ``from = "now"`` counts for that alone.
    """

    def __init__(
        self, server: PrefectServer, sink: Sink, report: Report, notify: Notify, began_at: datetime, is_first: bool
    ) -> None:
        self._server, self._written, self._sink = server, server.written, sink
        self._report, self._notify, self._is_first = report, notify, is_first
        self._began_at = began_at
        self._left_out = self._is_deaf = False
        self._closed_streams = 0
        self._noted: datetime | None = None
        self._contact = Contact(server.shown, notify)
        self._hurry, self._answers = asyncio.Event(), asyncio.Event()
        self._gaps, self._vigil = Gaps(), Vigil(self._written.lost_after)
        self._chores: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Follow.

        Raises:
            StoreClosedError: the gateway is ending.
        """
        async with Api(self._server) as self._api:
            names = Names(self._api)
            details = Details(self._api, lambda: self._sink.ruleset, self._report)
            self._keeper = Keeper(self._sink, self._server.ui, self, details.begin)
            self._keeper.told = self._report.told
            self._recovery = Recovery(self._api, self._keeper, names)
            self._search = Search(self._api, self._vigil, names, self._written.lost_after)
            self._reach = await self._begin()
            self._report.position = None
            await self._advance()
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self._sweeping())
                self._group.create_task(self._streaming())
                self._group.create_task(self._watching())

    # the beginning

    async def _begin(self) -> Reach:
        """Where to begin, once the server answers."""
        position, beginning = await self._left_at()
        position = position or beginning
        now = self._api.now()
        if position is None or (self._written.begin == "now" and self._is_first):
            position = beginning = min(self._began_at + (now - datetime.now(UTC)), now)
            await self._note(Position(BEGINNING, beginning))
            log.info("Prefect is followed from now on", extra={"server": self._server.shown})
        else:
            position = min(position, now)
            about = {"server": self._server.shown, "since": position.isoformat(timespec="seconds")}
            log.info("Prefect is followed from where it was left", extra=about)
        return Reach(position, self._written.overlap, self._written.max_age, beginning)

    async def _left_at(self) -> tuple[datetime | None, datetime | None]:
        """How far the server was read, and where that began; returns once it answers."""
        waits = Waits()
        while True:
            try:
                await self._api.events(changes(datetime.now(UTC)), 1)
                position, beginning = await asyncio.to_thread(self._positions)
                await asyncio.to_thread(self._recall_refused)
                self._note_contact()
                return position, beginning
            except StoreClosedError:
                raise
            except (SourceError, StoreError) as error:
                self._note_trouble(error)
                await asyncio.sleep(waits.next())

    def _positions(self) -> tuple[datetime | None, datetime | None]:
        position, beginning = self._sink.store.position(SOURCE), self._sink.store.position(BEGINNING)
        return None if position is None else position.until, None if beginning is None else beginning.until

    def _recall_refused(self) -> None:
        """Know what was not understood before: the overlap would have it told again at every start."""
        before: int | None = None
        while found := self._sink.store.refused(before=before):
            self._keeper.recall(found)
            before = found[-1].id

    # the sweep

    async def _sweeping(self) -> None:
        waits = Waits()
        while True:
            began = time.monotonic()
            try:
                await self._sweep()
            except SourceError as error:
                self._report.sweeps["failed"] += 1
                self._reach.broke()
                self._note_trouble(error)
                pause = waits.next()
            else:
                self._report.sweeps["ok"] += 1
                self._note_contact()
                waits.reset()
                pause = self._written.sweep.total_seconds()
            rest = min(pause, max(SHORTEST_PAUSE, time.monotonic() - began))
            await asyncio.sleep(rest)
            await _pause(self._hurry, pause - rest)

    async def _sweep(self) -> None:
        """Read what the server has kept, and note how far once all of it is on the disk."""
        look = self._reach.look(self._api.now(), time.monotonic())
        self._tell_left_out(self._reach.left_out(look.now))
        last = await self._read(look)
        if self._reach.done(look, last):
            self._begin_chore(self._recovery.look(look.since))
        if missing := [*self._gaps.due(look.at)]:
            self._begin_chore(self._fill(missing, self._reach.earliest(look.now)))
        await self._advance()

    async def _read(self, look: Look) -> datetime | None:
        """Have everything kept that ``look`` means; when the last of it occurred."""
        last: datetime | None = None
        keeping: set[asyncio.Task[None]] = set()
        try:
            async for events in pages(self._api, look.since):
                last = max((at for at in (last, latest(events)) if at is not None), default=None)
                keeping.add(asyncio.create_task(self._keeper.keep(events, "sweep")))
                if len(keeping) >= PAGES_AT_A_TIME:
                    done, keeping = await asyncio.wait(keeping, return_when=asyncio.FIRST_COMPLETED)
                    _raise_first(done)
        finally:
            if keeping:
                done, _ = await asyncio.wait(keeping)
                _raise_first(done)
        return last

    def _tell_left_out(self, left_out: timedelta) -> None:
        """Say once that something is too old to be told, and for how long it happened."""
        was_told, self._left_out = self._left_out, bool(left_out)
        if was_told or not left_out:
            return
        text = (
            f"What happened on {self._server.shown} for {format_roughly(left_out)} is not told: the gateway was away, "
            f"and it is older than max_age allows."
        )
        log.warning("what is older than max_age is left out", extra={"seconds": round(left_out.total_seconds())})
        self._notify(Notice("source_left_out", SOURCE, text))

    async def _advance(self) -> None:
        """Note how far everything is read; not at each sweep: what is noted later is read once more after a start."""
        kept = self._reach.kept
        if self._chores or kept == self._report.position:
            return
        if self._noted is None or kept - self._noted >= min(LONGEST_STEP, self._written.overlap / 4):
            if not await self._note(Position(SOURCE, kept)):
                return
            self._noted = kept
        self._report.position = kept

    async def _note(self, position: Position) -> bool:
        """Write a position down, if the store takes it."""
        try:
            await asyncio.wrap_future(self._sink.store.advance(position))
        except StoreClosedError:
            raise
        except StoreError as error:
            log.warning("how far Prefect was read could not be noted", extra={"error": str(error)})
            return False
        return True

    # what the server has lost

    def _begin_chore(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what takes long beside the sweeps. Until it is done, the position stays."""
        chore = self._group.create_task(self._done_or_put_off(work))
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    async def _done_or_put_off(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except SourceError as error:
            if (
                isinstance(error, ApiError) and error.is_final
            ):  # to ask again and again would hold the position for ever
                log.error("what the server may have lost cannot be looked for", extra={"error": str(error)})
                return
            self._note_trouble(error)
            self._reach.broke()

    async def _fill(self, gaps: Sequence[Gap], earliest: datetime) -> None:
        """Ask for the states of runs of which an event is missing."""
        for gap in gaps:
            made = made_at(gap.id)
            if gap.id in self._keeper.known or made is None or made < earliest:
                continue
            try:
                is_kept = await asyncio.to_thread(self._sink.store.transition, gap.id) is not None
            except StoreClosedError:
                raise
            except StoreError:
                is_kept = False
            if not is_kept:
                await self._recovery.look_at(gap.kind, gap.run_id, earliest)

    # the stream

    async def _streaming(self) -> None:
        waits = Waits()
        while True:
            try:
                await self._listen(waits)
            except SourceError as error:
                self._note_closed(error)
            if self._report.connected:
                self._report.connected = False
                self._reach.broke()
            await _pause(self._answers, waits.next())

    def _note_closed(self, error: SourceError) -> None:
        """Say aloud, once, that only the stream cannot be read; what else is wrong is said of the server as a whole."""
        self._closed_streams += 1
        if self._closed_streams >= MOST_CLOSED and not self._is_deaf and not self._contact.has_trouble:
            self._is_deaf = True
            log.warning("there is no stream of events; all comes with the sweep, later", extra={"error": str(error)})
        else:
            log.info("the stream of events broke and is opened again", extra={"error": str(error)})

    def _note_open(self) -> None:
        if self._is_deaf:
            log.warning("the stream of events is open again")
        self._closed_streams, self._is_deaf = 0, False

    async def _listen(self, waits: Waits) -> None:
        """Read the stream until it ends, and keep all that was read."""
        queue: asyncio.Queue[str | bytes] = asyncio.Queue(EVENTS_AT_A_TIME)
        keeping = asyncio.create_task(self._keep_streamed(queue))
        reading = asyncio.create_task(self._read_stream(queue, waits))
        kept = asyncio.create_task(_join(queue, reading))
        try:
            await asyncio.wait({keeping, kept}, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                keeping.result()
            kept.result()
        finally:
            for task in (reading, keeping, kept):
                task.cancel()
            await asyncio.gather(reading, keeping, kept, return_exceptions=True)

    async def _read_stream(self, queue: asyncio.Queue[str | bytes], waits: Waits) -> None:
        """Read until the stream ends. While the store is behind, no more is read than fits the queue."""
        async for message in Stream(self._api).messages():
            if message:
                await queue.put(message)
            else:
                self._report.connected = True
                self._note_open()
                waits.reset()
                self._reach.broke()
                self._hurry.set()

    async def _keep_streamed(self, queue: asyncio.Queue[str | bytes]) -> None:
        """Keep what is read. What waits for details holds up nobody behind it, unless there is too much of it."""
        keeping: set[asyncio.Task[None]] = set()
        try:
            while True:
                messages = [await queue.get()]
                while len(messages) < EVENTS_AT_A_TIME and not queue.empty():
                    messages.append(queue.get_nowait())
                keeping.add(asyncio.create_task(self._keep_messages(messages, queue)))
                if len(keeping) >= BATCHES_AT_A_TIME:
                    await asyncio.wait(keeping, return_when=asyncio.FIRST_COMPLETED)
                done = {one for one in keeping if one.done()}
                keeping -= done
                _raise_first(done)
        finally:
            for one in keeping:
                one.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)

    async def _keep_messages(self, messages: Sequence[str | bytes], queue: asyncio.Queue[str | bytes]) -> None:
        try:
            events = []
            for message in messages:
                try:
                    events.append(event_of(message))
                except (ValueError, RecursionError):
                    await self._keeper.keep_text(message, "a message of the stream that holds no event")
            await self._keeper.keep(events, "stream")
        finally:
            for _ in messages:
                queue.task_done()

    # runs that are lost

    async def _watching(self) -> None:
        """Look for runs that are lost, until there is an end to all of it."""
        if not self._written.lost_after:
            return
        is_seeded = False
        while True:
            try:
                if not is_seeded:
                    await self._search.seed()
                    self._vigil.put_off(self._api.now() + self._written.overlap)
                    is_seeded = True
                now = self._api.now()
                for transition in await self._search.lost(now, self._reach.earliest(now)):
                    await self._keeper.keep_transitions([transition], "heartbeats")
            except SourceError as error:
                if isinstance(error, ApiError) and error.is_final:
                    log.error("runs that are lost cannot be found", extra={"error": str(error)})
                    return
                self._vigil.put_off(self._api.now() + self._written.lost_after)
            await asyncio.sleep(min(VIGIL_SECONDS, self._written.lost_after.total_seconds() / 4))

    def heard(self, run_id: str, at: datetime) -> None:
        """A flow run is alive."""
        self._vigil.heard(run_id, at)

    def saw(self, transition: Transition, event: Mapping[str, Any]) -> None:
        """A run came into a state."""
        self._vigil.saw(transition)
        if event.get("follows") not in self._keeper.known:
            kind: RunKind = "task_run" if transition.kind == "task" else "flow_run"
            if self._gaps.note(event, kind, transition.obj.run_id, time.monotonic()):
                self._hurry.set()
        else:
            self._gaps.came(transition.id)

    # contact

    def _note_contact(self) -> None:
        self._report.contact_at = datetime.now(UTC)
        if self._contact.made():
            self._answers.set()

    def _note_trouble(self, error: Exception) -> None:
        """Nobody is heard of while the server is away, and so nobody is lost."""
        self._contact.failed(error)
        self._vigil.put_off(self._api.now() + self._written.lost_after)


async def _pause(hurry: asyncio.Event, seconds: float) -> None:
    """Wait, unless ``hurry`` comes."""
    with suppress(TimeoutError):
        await asyncio.wait_for(hurry.wait(), seconds)
    hurry.clear()


async def _join(queue: asyncio.Queue[str | bytes], reading: asyncio.Task[None]) -> None:
    """Wait until ``reading`` has ended and all it read is kept; raise what ended it."""
    await asyncio.wait({reading})
    await queue.join()
    reading.result()


def _raise_first(done: set[asyncio.Task[None]]) -> None:
    for task in done:
        task.result()
