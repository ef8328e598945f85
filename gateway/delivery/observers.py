"""Observers: whoever wants to know what happens. Each gets one frozen record of it, and can neither break nor delay us.

The records: :class:`Kept`, :class:`Settled`, :class:`Faulty`, :class:`Misunderstood`, :class:`Noticed`,
:class:`Beaten`;
:class:`~gateway.reload.Reloaded` and :class:`~gateway.store.writer.Commit` come the same way.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.store.rows import Accepted, Record
from gateway.transition import Transition

log = logging.getLogger("gateway.delivery")

Observer = Callable[[object], object]
"""Called with every record, in the thread where it happened: it must be quick. Ignore records you do not know."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Transitions are on the disk, with what is to be told of them: one of ``accepted`` for each, in order."""

    transitions: Sequence[Transition]
    accepted: Sequence[Accepted]


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a delivery is on the disk.

    Attributes:
        record: what was written.
        kept: it was; ``False`` when another process had the delivery by then.
    """

    record: Record
    kept: bool


@dataclass(frozen=True, slots=True)
class Faulty:
    """A handler's check raised and counts as not matching, or its template failed and a plain text was sent."""

    handler: str
    part: Literal["check", "template"]


@dataclass(frozen=True, slots=True)
class Misunderstood:
    """An event of ``source`` could not be read as a transition; it is kept for somebody to look at."""

    source: str


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something operators should hear of; ``told`` when a message went out, else it was kept from them as a repeat."""

    kind: str
    told: bool


@dataclass(frozen=True, slots=True)
class Beaten:
    """A call to ``[gateway] heartbeat`` was due: it was made, it failed, or it was withheld because we are unwell."""

    result: Literal["sent", "failed", "withheld"]


class Observers:
    """Those who are told. False while there are none, so that nobody makes records in vain."""

    def __init__(self) -> None:
        self._observers: tuple[Observer, ...] = ()
        self._complained_of: set[int] = set()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._observers)

    def add(self, observer: Observer) -> None:
        """Tell ``observer`` from now on."""
        with self._lock:
            self._observers = (*self._observers, observer)

    def remove(self, observer: Observer) -> None:
        """Tell ``observer`` no more."""
        with self._lock:
            self._observers = tuple(one for one in self._observers if one != observer)

    def tell(self, record: object) -> None:
        """Tell all of them. Never raises: the first error of each is logged, later ones are passed over."""
        for observer in self._observers:
            try:
                observer(record)
            except Exception:
                self._complain(observer)

    def _complain(self, observer: Observer) -> None:
        if id(observer) in self._complained_of:
            return
        self._complained_of.add(id(observer))
        log.exception("an observer failed; its further errors are not logged", extra={"observer": repr(observer)})
