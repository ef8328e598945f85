"""Readers: the handlers that read what a source may have to fetch, and which of them may match a transition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.rules.expression import NO_SUGAR, Check, Condition
from gateway.rules.index import Index
from gateway.rules.lowering import Lowered
from gateway.rules.reads import NO_READS
from gateway.rules.schema import BOOL
from gateway.transition import Kind, Obj, Transition

_HOLDS = Lowered("True", (), (), (), BOOL)


class Readers:
    """Knows what must be fetched of a transition before its handlers are asked.

    Args:
        handlers: the check of each handler, and what its template reads.

    A handler counts if all the conditions hold that read nothing to be fetched, and the others may.
    """

    __slots__ = ("_index", "_reads")

    def __init__(self, handlers: Iterable[tuple[Check, frozenset[str]]]) -> None:
        reading = [(check, reads) for check, written in handlers if (reads := written | check.reads)]
        self._reads: tuple[Mapping[Kind, frozenset[str]], ...] = tuple(_by_kind(reads) for _, reads in reading)
        self._index = Index([_before_fetching(check) for check, _ in reading])

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._reads)

    def reads(self, transition: Transition) -> frozenset[str]:
        """What may be read of ``transition`` and is not there: ``"flow.parameters"``, ``"task.log"`` …"""
        if not self._reads:
            return NO_READS
        may_match = self._index.match(transition)
        read = NO_READS.union(*(self._reads[position][transition.kind] for position in may_match))
        return frozenset(name for name in read if not _is_there(name, transition)) if read else read


def _before_fetching(check: Check) -> Check:
    """``check`` without the conditions that cannot be asked yet; what they need of a transition stays."""
    parts = (Condition(_HOLDS, part.need) if part.reads else part for part in check.parts)
    return Check(None, check.on, NO_SUGAR, tuple(parts))


def _by_kind(reads: frozenset[str]) -> Mapping[Kind, frozenset[str]]:
    """What is read of a flow's transition, and of a task's: the obj is one or the other, and a flow has no task."""
    return {
        "flow": frozenset(_of(name, "flow") for name in reads if not name.startswith("task.")),
        "task": frozenset(_of(name, "task") for name in reads),
    }


def _of(name: str, kind: Kind) -> str:
    return name.replace("obj.", f"{kind}.", 1) if name.startswith("obj.") else name


def _is_there(name: str, transition: Transition) -> bool:
    """Whether the source told it already, or there is no run to ask about."""
    owner, _, field = name.partition(".")
    run: Obj | None = transition.task if owner == "task" else transition.flow
    return run is None or not run.run_id or bool(getattr(run, field))
