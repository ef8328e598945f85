"""Events become kept transitions: each once, in whichever way it came, whatever the store does meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from gateway.errors import StoreClosedError, StoreError
from gateway.sources.prefect.keeper import Keeper
from gateway.store.rows import Accepted, NewRefused, Refused
from gateway.testing.builders import MOMENT
from gateway.transition import Transition

SAMPLES = Path(__file__).parents[3] / "samples" / "prefect3"


class Sink:
    """Takes transitions, and refuses as often as told."""

    def __init__(self, refusals: int = 0, spoiled: str = "") -> None:
        self.refusals, self.spoiled = refusals, spoiled
        self.taken: list[str] = []
        self.refused: list[NewRefused] = []
        self.store: Any = self

    def now(self) -> datetime:
        return MOMENT

    def take(self, transitions: Sequence[Transition], *, kept: bool = False) -> Future[tuple[Accepted, ...]]:
        answer: Future[tuple[Accepted, ...]] = Future()
        if any(one.id == self.spoiled for one in transitions):
            raise ZeroDivisionError
        if self.refusals:
            self.refusals -= 1
            answer.set_exception(StoreError("the disk is full"))
        else:
            self.taken += [one.id for one in transitions]
            answer.set_result(tuple(Accepted(duplicate=False) for _ in transitions))
        return answer

    def refuse(self, events: Sequence[NewRefused]) -> Future[None]:
        self.refused += events
        answer: Future[None] = Future()
        answer.set_result(None)
        return answer


class Watch:
    def heard(self, run_id: str, at: datetime) -> None: ...

    def saw(self, transition: Transition, event: Any) -> None: ...


def event(**more: Any) -> dict[str, Any]:
    sample = json.loads((SAMPLES / "event.flow-run.Failed.json").read_text())
    return sample | {"id": str(uuid4())} | more


def keep(sink: Sink, *batches: list[Any], enrich: Callable[[Transition], Any] = lambda one: None) -> Keeper:
    async def keeping() -> Keeper:
        keeper = Keeper(sink, "", Watch(), enrich)  # type: ignore[arg-type] # it takes and refuses
        await asyncio.gather(*(keeper.keep(batch, "stream") for batch in batches))
        return keeper

    return asyncio.run(keeping())


def test_what_was_not_understood_before_a_start_is_not_kept_again() -> None:
    unknown = event(id="unknown")
    unknown["payload"]["validated_state"]["type"] = "WEIRD"
    sink, nameless = Sink(), {"event": 1}
    keep(sink, [unknown, nameless])
    before = [
        Refused(number, one.source, one.received_at, one.complaint, one.event)
        for number, one in enumerate(sink.refused)
    ]

    async def keeping_again() -> None:
        keeper = Keeper(sink, "", Watch(), lambda one: None)  # type: ignore[arg-type] # it takes and refuses
        keeper.recall(before)
        await keeper.keep([unknown, nameless], "sweep")

    asyncio.run(keeping_again())

    assert len(before) == len(sink.refused) == 2


def test_what_comes_twice_and_at_the_same_time_is_kept_once() -> None:
    sink, one, other = Sink(), event(), event()

    keeper = keep(sink, [one, other], [one], [other, one])

    assert sorted(sink.taken) == sorted([one["id"], other["id"]])
    assert keeper.told == {"stream": 2}


def test_a_store_that_refuses_is_asked_again_until_it_takes() -> None:
    sink, one = Sink(refusals=1), event()

    keep(sink, [one])

    assert sink.taken == [one["id"]]


def test_a_closed_store_is_the_end() -> None:
    class Closed(Sink):
        def take(self, transitions: Any, *, kept: bool = False) -> Any:
            raise StoreClosedError("the store is closed")

    with pytest.raises(StoreClosedError):
        keep(Closed(), [event()])


def test_a_transition_that_cannot_be_handled_is_kept_as_refused_and_the_others_are_told() -> None:
    good, bad = event(), event()
    sink = Sink(spoiled=bad["id"])

    keep(sink, [bad, good])

    assert sink.taken == [good["id"]]
    assert [one.complaint for one in sink.refused] == ["it could not be handled: ZeroDivisionError"]


def test_what_waits_for_details_holds_up_nobody_else() -> None:
    async def keeping() -> list[str]:
        details: asyncio.Future[Transition] = asyncio.get_running_loop().create_future()
        slow, quick = event(), event()
        waiting: list[Transition] = []

        def enrich(one: Transition) -> Any:
            if one.id == slow["id"]:
                waiting.append(one)
                return details
            return None

        sink = Sink()
        keeper = Keeper(sink, "", Watch(), enrich)  # type: ignore[arg-type] # it takes and refuses
        first = asyncio.create_task(keeper.keep([slow, quick], "sweep"))
        await asyncio.sleep(0.01)
        assert sink.taken == [quick["id"]]
        assert not first.done()
        details.set_result(waiting[0])
        await first
        return sink.taken

    assert len(asyncio.run(keeping())) == 2


def test_heartbeats_and_what_is_no_state_change_are_no_transitions() -> None:
    sink = Sink()
    beat = json.loads((SAMPLES / "event.flow-run.heartbeat.json").read_text())
    other = json.loads((SAMPLES / "event.flow-run.pull-step.executed.json").read_text())

    keep(sink, [beat, other, beat | {"resource": None}])

    assert (sink.taken, sink.refused) == ([], [])


@pytest.mark.parametrize("malformed", [None, 5, [], {}, {"id": 7}, {"id": "x", "event": 3}])
def test_whatever_comes_is_at_worst_refused(malformed: Any) -> None:
    sink, good = Sink(), event()

    keep(sink, [malformed, good])

    assert sink.taken == [good["id"]]
    assert len(sink.refused) == 1
