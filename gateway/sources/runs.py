"""Runs: the last state of each, for sources that do not tell the state before.

What was seen lately is in memory; all of it is in the store, where it is kept in one transaction with the
transitions themselves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from gateway.sources.reading import UNKNOWN, Reported
from gateway.states import STATES, State
from gateway.store.arrivals import RunKey
from gateway.store.instants import to_instant, to_milliseconds
from gateway.store.rows import Run
from gateway.transition import Transition

MOST = 40_000
"""Runs in memory: more than there can be transitions on their way to the store, so that none of those is let go of."""

Ask = Callable[[Iterable[RunKey]], Mapping[RunKey, Run]]


class Runs:
    """Fills in the state before. To be used in one thread, but for :meth:`ask`.

    Args:
        ask: what the store knows; :meth:`gateway.store.store.Store.runs`.
        alone: nobody else writes to the store; else it is asked each time.
    """

    def __init__(self, ask: Ask, *, alone: bool = True, most: int = MOST) -> None:
        self.ask, self._alone, self._most = ask, alone, most
        self._known: OrderedDict[RunKey, Run | None] = OrderedDict()
        self._ids: dict[RunKey, str] = {}

    def unknown(self, reported: Sequence[Reported]) -> set[RunKey]:
        """The runs of which the store must be asked before :meth:`settle`."""
        keys = {key_of(one.transition) for one in reported if one.transition.obj.run_id}
        return {key for key in keys if not self._alone or key not in self._known}

    def learn(self, asked: Iterable[RunKey], found: Mapping[RunKey, Run]) -> None:
        """Note what the store said; what has come since it was asked is newer."""
        for key in asked:
            run, known = found.get(key), self._known.get(key)
            if known is None or (run is not None and run.occurred_at > known.occurred_at):
                self._note(key, run)

    def settle(self, reported: Sequence[Reported]) -> list[Transition]:
        """Those of ``reported`` that are news, in order, with the state before where it is known.

        They must go to the store at once, in this order: the next of their runs go by them.
        """
        return [one.transition for one in reported if self._is_news(one)]

    def forget(self, transitions: Iterable[Transition]) -> None:
        """Know nothing of the runs of what the store did not take: it will be sent again."""
        for one in transitions:
            self._known.pop(key_of(one), None)
            self._ids.pop(key_of(one), None)

    def doubt(self, repeats: Iterable[Transition]) -> None:
        """Know nothing of runs whose last state is that of one of ``repeats``, which the store has told to be such.

        A repeat whose event tells no time looks like the latest news.
        """
        self.forget(one for one in repeats if self._ids.get(key_of(one)) == one.id)

    def _is_news(self, one: Reported) -> bool:
        transition = one.transition
        if not transition.obj.run_id:
            return True
        key = key_of(transition)
        known = self._known.get(key)
        if known is not None and self._is_repeat(key, known, transition):
            return True  # the store knows it by its id, and says so
        if known is not None and known.occurred_at > transition.occurred_at:
            return one.follows is None or {UNKNOWN, known.type} <= one.follows  # late: nobody knows what it followed
        if one.follows is not None and (UNKNOWN if known is None else known.type) not in one.follows:
            return False
        if known is not None:
            _follow(transition, known)
        name, type = transition.state.name, transition.state.type
        self._note(key, Run(*key, type, name, transition.occurred_at))
        self._ids[key] = transition.id
        return True

    def _is_repeat(self, key: RunKey, known: Run, transition: Transition) -> bool:
        """Whether ``transition`` is the one by which its run came into the state that is known."""
        if key in self._ids:
            return self._ids[key] == transition.id
        return known.type == transition.state.type and known.occurred_at == _as_kept(transition.occurred_at)

    def _note(self, key: RunKey, run: Run | None) -> None:
        self._known[key] = run
        self._ids.pop(key, None)
        self._known.move_to_end(key)
        while len(self._known) > self._most:
            gone, _ = self._known.popitem(last=False)
            self._ids.pop(gone, None)


def key_of(transition: Transition) -> RunKey:
    """The run of ``transition``."""
    return transition.source, transition.obj.run_id.replace("\0", "")  # as the store has it


def _as_kept(instant: datetime) -> datetime:
    """As exact as the store keeps it."""
    return to_instant(to_milliseconds(instant))


def _follow(transition: Transition, known: Run) -> None:
    """Have ``transition`` follow the last state of its run."""
    if transition.old_state is None:
        transition.old_state = _state(known)
    if transition.obj.started_at is None and known.type == "Running":
        transition.obj.started_at = known.occurred_at


def _state(run: Run) -> State:
    kind = STATES.get(run.type, State)
    return kind(name=run.name, timestamp=run.occurred_at)
