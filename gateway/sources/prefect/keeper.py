"""Keeper: understands events, and has the gateway keep what they tell; each once, in whichever way it came."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Protocol

from gateway.compile import Ruleset
from gateway.errors import PayloadError, SourceError, StoreClosedError, StoreError
from gateway.sources.prefect.filters import HEARTBEAT
from gateway.sources.prefect.instants import occurred_at
from gateway.sources.prefect.known import FIRST, Known
from gateway.sources.prefect.mapping import SOURCE, transition_of
from gateway.sources.prefect.report import Way
from gateway.sources.prefect.waits import Waits
from gateway.store.arrivals import LONGEST_EVENT
from gateway.store.rows import Accepted, NewRefused, Refused
from gateway.store.store import Store
from gateway.transition import Transition

log = logging.getLogger("gateway.prefect")


class Sink(Protocol):
    """Where transitions go: a :class:`~gateway.app.Gateway`."""

    @property
    def ruleset(self) -> Ruleset:
        """The configuration in force."""

    @property
    def store(self) -> Store:
        """Where it keeps them."""

    def take(self, transitions: Sequence[Transition], *, kept: bool = False) -> Future[tuple[Accepted, ...]]:
        """Keep them; does not wait."""

    def refuse(self, events: Sequence[NewRefused]) -> Future[None]:
        """Keep what was not understood; does not wait."""


Enrich = Callable[[Transition], "asyncio.Future[Transition] | None"]
"""Begins to fetch what the handlers that may match want to know; ``None`` if they want no more."""


class Watch(Protocol):
    """Who hears of what is read."""

    def heard(self, run_id: str, at: datetime) -> None:
        """A flow run is alive."""

    def saw(self, transition: Transition, event: Mapping[str, Any]) -> None:
        """A run came into a state."""


@dataclass(frozen=True, slots=True)
class _Told:
    """A transition, and the event that told of it."""

    transition: Transition
    event: Mapping[str, Any]
    event_id: str


class Keeper:
    """Keeps what events tell.

    Args:
        sink: where it is kept.
        ui: where Prefect's pages are.
        watch: hears of what is read.
        enrich: fetches what events leave out.

    Attributes:
        known: what is kept.
        told: how many transitions each way was the first to tell.
    """

    def __init__(self, sink: Sink, ui: str, watch: Watch, enrich: Enrich) -> None:
        self._sink, self._ui, self._watch, self._enrich = sink, ui, watch, enrich
        self.known = Known()
        self.told: Counter[Way] = Counter()
        self._underway: dict[str, asyncio.Future[None]] = {}
        self._refusing = False

    async def keep(self, events: Iterable[Any], way: Way) -> None:
        """Keep what ``events`` tell; returns once all of it is on the disk.

        While the store refuses, it waits and tries again, for ever.

        Raises:
            StoreClosedError: the gateway is ending.
        """
        fresh: list[_Told] = []
        others: list[asyncio.Future[None]] = []
        refused: list[NewRefused] = []
        for event in events:
            key = _key(event)
            if key in self._underway:
                others.append(self._underway[key])
            elif key not in self.known:
                self._read(event, key, fresh, refused)
        await self._keep_all(fresh, refused, way)
        for other in others:
            await asyncio.shield(other)

    def recall(self, refused: Iterable[Refused]) -> None:
        """What was not understood before is known: to read it again, after a start, is no news."""
        for one in refused:
            if one.source == SOURCE:
                self.known.add(_key_of_text(one.event))

    async def keep_text(self, text: str | bytes, complaint: str) -> None:
        """Keep something that is no event at all, for somebody to look at."""
        key = sha256(text.encode() if isinstance(text, str) else text).hexdigest()
        if key not in self.known:
            self.known.add(key)
            shown = text if isinstance(text, str) else text.decode("utf-8", "replace")
            await self._store([], [self._refusal(shown, complaint)], "stream")

    async def keep_refused(self, event: Any, complaint: str) -> None:
        """Keep what was not understood, once."""
        key = _key(event)
        if key not in self.known:
            self.known.add(key)
            await self._store([], [self._refusal(_text(event), complaint)], "history")

    async def keep_transitions(self, transitions: Sequence[Transition], way: Way) -> None:
        """Keep transitions that no event told of, as :meth:`keep` does."""
        fresh = [one for one in transitions if one.id not in self.known and one.id not in self._underway]
        await self._keep_all([_Told(one, {}, one.id) for one in fresh], [], way)

    def _read(self, event: Any, key: str, fresh: list[_Told], refused: list[NewRefused]) -> None:
        if _is_heartbeat(event):
            self._note_heartbeat(event)
            return
        try:
            transition = transition_of(event, self._ui)
        except PayloadError as error:
            refused.append(self._refusal(_text(event), str(error)))
        except Exception as error:  # whatever it is, others must go on
            log.exception("an event could not be read")
            refused.append(self._refusal(_text(event), type(error).__name__))
        else:
            if transition is not None:
                told = _Told(transition, event, key)
                self._underway[key] = asyncio.get_running_loop().create_future()
                fresh.append(told)
                return
        self.known.add(key)

    def _note_heartbeat(self, event: Mapping[str, Any]) -> None:
        try:
            run_id = event["resource"]["prefect.resource.id"].removeprefix("prefect.flow-run.")
        except (KeyError, TypeError, AttributeError):
            return
        if (at := occurred_at(event)) is not None:
            self._watch.heard(run_id, at)

    def _refusal(self, text: str, complaint: str) -> NewRefused:
        return NewRefused(SOURCE, self._sink.store.now(), complaint, text[:LONGEST_EVENT])

    async def _keep_all(self, fresh: Sequence[_Told], refused: Sequence[NewRefused], way: Way) -> None:
        """Keep what was read: at once what is whole, and the rest when its details are there."""
        loop = asyncio.get_running_loop()
        for one in fresh:
            self._underway.setdefault(one.event_id, loop.create_future())
        whole, lacking = [], []
        for one in fresh:
            details = self._enrich(one.transition)
            if details is None:
                whole.append(one)
            else:
                lacking.append((one, details))
        if whole or refused:
            jobs = [self._settled(self._store(whole, refused, way), whole)]
        else:
            jobs = []
        jobs += [self._settled(self._enriched(one, details, way), [one]) for one, details in lacking]
        try:
            await asyncio.gather(*jobs)
        finally:
            for one in fresh:  # what was not even begun when all is to end
                if (waiting := self._underway.pop(one.event_id, None)) is not None:
                    _break_off(waiting)

    async def _enriched(self, one: _Told, details: asyncio.Future[Transition], way: Way) -> None:
        await self._store([_Told(await details, one.event, one.event_id)], [], way)

    async def _settled(self, work: Any, told: Sequence[_Told]) -> None:
        """Do ``work``, and tell whoever waits for one of ``told`` what became of it."""
        try:
            await work
        except BaseException as error:
            for one in told:
                waiting = self._underway.pop(one.event_id)
                _break_off(waiting, error if isinstance(error, Exception) else None)
            raise
        for one in told:
            self._underway.pop(one.event_id).set_result(None)

    async def _store(self, told: Sequence[_Told], refused: Sequence[NewRefused], way: Way) -> None:
        if refused:
            await self._persistently(lambda: self._sink.refuse(refused))
        if told:
            try:
                await self._take(told, way)
            except StoreError:
                raise
            except Exception:
                await self._take_singly(told, way)

    async def _take_singly(self, told: Sequence[_Told], way: Way) -> None:
        """Find the one that spoils the batch; it is kept as not understood, and the others go on."""
        for one in told:
            try:
                await self._take([one], way)
            except StoreError:
                raise
            except Exception as error:
                log.exception("a transition could not be handled", extra={"transition": one.transition.id})
                refusal = self._refusal(_text(one.event), f"it could not be handled: {type(error).__name__}")
                await self._store([], [refusal], way)
                self.known.add(one.event_id)

    async def _take(self, told: Sequence[_Told], way: Way) -> None:
        transitions = [one.transition for one in told]
        accepted = await self._persistently(lambda: self._sink.take(transitions, kept=True))
        self.told[way] += sum(not one.duplicate for one in accepted)
        for one in told:
            self.known.add(one.transition.id)  # not its event's, where that of a retry is
            self.known.add(one.event_id, _before(one.event))
            self._watch.saw(one.transition, one.event)

    async def _persistently(self, submit: Callable[[], Future[Any]]) -> Any:
        """What ``submit`` comes to, tried again until the store takes it."""
        waits = Waits()
        while True:
            try:
                done = await asyncio.wrap_future(submit())
            except StoreClosedError:
                raise
            except StoreError as error:
                if not self._refusing:
                    self._refusing = True
                    log.error("the store refuses what Prefect tells; it is tried again", extra={"error": str(error)})
                await asyncio.sleep(waits.next())
            else:
                if self._refusing:
                    self._refusing = False
                    log.warning("the store takes what Prefect tells again")
                return done


def _break_off(waiting: asyncio.Future[None], error: Exception | None = None) -> None:
    """Tell whoever waits that it came to nothing: they read it once more."""
    waiting.set_exception(error or SourceError("what was read could not be kept yet"))
    waiting.exception()  # seen, if nobody waits


def _key(event: Any) -> str:
    """What tells an event from others: its id, or all of it."""
    id = event.get("id") if isinstance(event, dict) else None
    return id if isinstance(id, str) and id else sha256(_text(event).encode("utf-8", "replace")).hexdigest()


def _key_of_text(text: str) -> str:
    """The same of an event that was written down."""
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        event = None
    return _key(event) if isinstance(event, dict) else sha256(text.encode("utf-8", "replace")).hexdigest()


def _text(event: Any) -> str:
    return json.dumps(event, default=str)


def _is_heartbeat(event: Any) -> bool:
    return isinstance(event, dict) and event.get("event") == HEARTBEAT


def _before(event: Mapping[str, Any]) -> str | None:
    """The id of the event before of the same run; ``FIRST`` if there is none, ``None`` if that is not told."""
    if isinstance(follows := event.get("follows"), str):
        return follows
    payload = event.get("payload")
    is_first = isinstance(payload, Mapping) and payload.get("initial_state", payload) is None
    return FIRST if is_first else None
