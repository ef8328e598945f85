"""What can be asked of a store, however it was opened."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from gateway.store import arrivals, ledger, queries, standing
from gateway.store.arrivals import RunKey
from gateway.store.room import Room
from gateway.store.rows import (
    Delivery,
    DeliveryFilter,
    DeliveryHistory,
    LedgerLine,
    NodeRow,
    Oldest,
    Position,
    Refused,
    Run,
    TransitionFilter,
    TransitionRow,
)
from gateway.store.standing import Overdue, Standing

T = TypeVar("T")


class Questions(ABC):
    """The questions. Each is answered from one consistent view, and changes nothing."""

    @abstractmethod
    def ask(self, query: Callable[[Connection], T]) -> T:
        """What ``query`` finds, on a read-only connection."""

    @abstractmethod
    def room(self) -> Room:
        """How much room there is."""

    def next_due(self) -> Mapping[str, datetime]:
        """For each channel something is pending for, when the first of it is due."""
        return self.ask(queries.next_due)

    def next_give_up(self) -> datetime | None:
        """When the first pending delivery has waited too long."""
        return self.ask(queries.next_give_up)

    def newest(self) -> datetime | None:
        """When the last transition that is kept was received; ``None`` when none is."""
        return self.ask(queries.newest)

    def oldest(self) -> Oldest:
        """Since when what has ended, and what matched no handler, is kept."""
        return self.ask(queries.oldest)

    def deliveries(
        self, wanted: DeliveryFilter | None = None, *, limit: int = 50, before: int | None = None
    ) -> list[Delivery]:
        """Deliveries, newest first; ``before`` is the last id of the page before."""
        return self.ask(lambda connection: queries.deliveries(connection, wanted or DeliveryFilter(), limit, before))

    def transitions(
        self, wanted: TransitionFilter | None = None, *, limit: int = 50, before: int | None = None
    ) -> list[TransitionRow]:
        """Transitions, newest first; ``before`` is the last seq of the page before."""
        return self.ask(lambda connection: queries.transitions(connection, wanted or TransitionFilter(), limit, before))

    def history(self, delivery_id: int) -> DeliveryHistory | None:
        """One delivery with its attempts and its transition; ``None`` when there is none of that id."""
        return self.ask(lambda connection: queries.history(connection, delivery_id))

    def transition(self, id: str) -> TransitionRow | None:
        """The transition of that id, if it is kept."""
        return self.ask(lambda connection: queries.transition_of(connection, id))

    def ledger(self) -> tuple[LedgerLine, ...]:
        """The ledger, one line per handler and channel. It balances at any moment."""
        return self.ask(ledger.lines)

    def owed(self) -> int:
        """How many deliveries are pending or claimed."""
        return ledger.total(self.ledger()).owed

    def counters(self) -> Mapping[str, int]:
        """Counts since the store was made; see :func:`gateway.store.ledger.counters`."""
        return self.ask(ledger.counters)

    def standing(self, dead_since: datetime) -> Standing:
        """How the store stands as a whole, with the dead letters given up since ``dead_since``."""
        return self.ask(lambda connection: standing.standing(connection, dead_since))

    def overdue(self, before: datetime, *, but: str) -> list[Overdue]:
        """What is owed since ``before`` or longer, by channel; without the deliveries of the handler ``but``."""
        return self.ask(lambda connection: standing.overdue(connection, before, but))

    def occurred(self, seqs: Sequence[int]) -> Mapping[int, datetime]:
        """When the transitions ``seqs`` occurred; those that are kept no more are left out."""
        return self.ask(lambda connection: standing.occurred(connection, seqs))

    def position(self, source: str) -> Position | None:
        """Up to which occurrence ``source`` was read; ``None`` if it never was."""
        return self.ask(lambda connection: arrivals.position_of(connection, source))

    def runs(self, keys: Iterable[RunKey]) -> Mapping[RunKey, Run]:
        """The last states of runs, by source and run id; those that are not remembered are left out."""
        return self.ask(lambda connection: arrivals.runs(connection, keys))

    def refused(self, *, limit: int = 50, before: int | None = None) -> list[Refused]:
        """Events that were not understood, newest first; ``before`` is the last id of the page before."""
        return self.ask(lambda connection: arrivals.refused_events(connection, limit, before))

    def nodes(self) -> list[NodeRow]:
        """The gateway processes that have the store open."""
        return self.ask(queries.nodes)
