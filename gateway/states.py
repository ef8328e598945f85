"""States: the conditions a task or flow passes through, as a tree of classes.

The tree and its predicates are Prefect 1's. Added are, for engines that tell them apart: ``Late``, which
nobody has picked up in time; ``Crashed``, whose process died; ``Lost``, of which nothing is heard any more;
``RolledBack``, whose effects were undone. Only the *class* (``type``)
decides what a state means; ``name`` keeps the word of the engine it came from.

States are treated as immutable: use :meth:`State.replace` to get a changed copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from gateway.format import Severity


class State:
    """The condition of a task or flow run.

    Args:
        message: text for people; engines may put an exception here. ``None`` when there is none.
        result: the data the state carries: a return value, an exception, a signal, a mapping of
            tasks to states for a flow.
        context: free mapping noted by the runner (``tags``, ``task_run_count`` …).
        name: the engine's own word for the state; the class name unless given.
        timestamp: when the state was created (UTC-aware); now unless given.
        start_time: when the run is due (UTC-aware; a naive time is read as UTC). Scheduled
            states default to now, all others to ``None``.
        run_count: attempts so far; 0 when unknown.
        final: ``False`` when the engine will retry after this state, ``True`` when it will not,
            ``None`` when nobody said.
    """

    __slots__ = ("context", "final", "message", "name", "result", "run_count", "start_time", "timestamp")

    type: ClassVar[str] = "State"
    """The class name of the nearest state class of this module: what rules match on."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__module__ == __name__:
            cls.type = cls.__name__
        else:  # a subclass made elsewhere has no type of its own, whatever it says: rules would not know it
            cls.type = next(base.type for base in cls.__mro__[1:] if issubclass(base, State))

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        *,
        context: dict[str, Any] | None = None,
        name: str | None = None,
        timestamp: datetime | None = None,
        start_time: datetime | None = None,
        run_count: int = 0,
        final: bool | None = None,
    ) -> None:
        self.message = message
        self.result = result
        self.context = {} if context is None else context
        self.name = type(self).__name__ if name is None else name
        self.timestamp = datetime.now(UTC) if timestamp is None else _aware(timestamp)
        self.start_time = None if start_time is None else _aware(start_time)
        self.run_count = run_count
        self.final = final

    def replace(self, **changes: Any) -> Self:
        """A copy with the given attributes changed."""
        twin = copy(self)
        for attribute, value in changes.items():
            setattr(twin, attribute, value)
        return twin

    def __repr__(self) -> str:
        return f"{type(self).__name__}()" if self.message is None else f'{type(self).__name__}("{self.message}")'

    def __eq__(self, other: object) -> bool:
        """Same class, result and start time; message, context, counts and time of creation do not matter."""
        if type(other) is not type(self):
            return NotImplemented
        return bool(self.result == other.result) and self.start_time == other.start_time

    __hash__ = object.__hash__

    def is_pending(self) -> bool:
        """Waiting to run, for whatever reason."""
        return isinstance(self, Pending)

    def is_scheduled(self) -> bool:
        """Waiting for a time or a slot."""
        return isinstance(self, (Scheduled, Queued))

    def is_retrying(self) -> bool:
        """Failed before and waiting for the next attempt."""
        return isinstance(self, Retrying)

    def is_late(self) -> bool:
        """Due, and not picked up by anybody."""
        return isinstance(self, Late)

    def is_paused(self) -> bool:
        """Waiting for somebody's approval."""
        return isinstance(self, Paused)

    def is_queued(self) -> bool:
        """Waiting for a free slot."""
        return isinstance(self, Queued)

    def is_submitted(self) -> bool:
        """Handed to an executor, not started there."""
        return isinstance(self, Submitted)

    def is_meta_state(self) -> bool:
        """A state about another state, kept in ``state``."""
        return isinstance(self, _MetaState)

    def is_running(self) -> bool:
        """At work."""
        return isinstance(self, Running)

    def is_cancelling(self) -> bool:
        """Told to stop and not stopped yet."""
        return isinstance(self, Cancelling)

    def is_finished(self) -> bool:
        """The run (or this attempt of it) has ended."""
        return isinstance(self, Finished)

    def is_successful(self) -> bool:
        """Ended well; skipped, cached and mapped runs count."""
        return isinstance(self, Success)

    def is_skipped(self) -> bool:
        """Ended well without running."""
        return isinstance(self, Skipped)

    def is_cached(self) -> bool:
        """Ended well with an earlier result."""
        return isinstance(self, Cached)

    def is_mapped(self) -> bool:
        """The parent of a mapped task has fanned out."""
        return isinstance(self, Mapped)

    def is_looped(self) -> bool:
        """One round of a looping task has ended."""
        return isinstance(self, Looped)

    def is_cancelled(self) -> bool:
        """Ended because somebody stopped it."""
        return isinstance(self, Cancelled)

    def is_failed(self) -> bool:
        """Ended badly; every kind of failure counts, a cancellation does not."""
        return isinstance(self, Failed)

    def is_timed_out(self) -> bool:
        """Failed because it took too long."""
        return isinstance(self, TimedOut)

    def is_trigger_failed(self) -> bool:
        """Failed without running, because its trigger was not met."""
        return isinstance(self, TriggerFailed)

    def is_crashed(self) -> bool:
        """Failed because its process or machine went away."""
        return isinstance(self, Crashed)

    def is_lost(self) -> bool:
        """Running as far as the engine knows, and not heard of for too long."""
        return isinstance(self, Lost)

    def is_rolled_back(self) -> bool:
        """Ended well at first; then its effects were undone, since what belongs together with it failed."""
        return isinstance(self, RolledBack)

    def is_final(self) -> bool:
        """Finished, and no retry will follow as far as is known. A finished Looped round is not the end."""
        return self.is_finished() and not self.is_looped() and self.final is not False


class Pending(State):
    """Waiting to run."""

    __slots__ = ()


class Scheduled(Pending):
    """Waiting for ``start_time`` (now unless given)."""

    __slots__ = ()

    def __init__(self, message: Any = None, result: Any = None, **fields: Any) -> None:
        super().__init__(message, result, **fields)
        if self.start_time is None:
            self.start_time = self.timestamp


class Late(Scheduled):
    """Due at ``start_time``, and not picked up by anybody. Not in Prefect 1; Prefect 3's name ``Late``."""

    __slots__ = ()


class Paused(Scheduled):
    """Waiting for approval; no ``start_time`` unless one is given."""

    __slots__ = ()

    def __init__(self, message: Any = None, result: Any = None, **fields: Any) -> None:
        State.__init__(self, message, result, **fields)


class Resume(Scheduled):
    """Approved after a pause; runs at ``start_time``."""

    __slots__ = ()


class Retrying(Scheduled):
    """Failed and waiting for the attempt due at ``start_time``; ``run_count`` attempts were made (1 unless given)."""

    __slots__ = ()

    def __init__(self, message: Any = None, result: Any = None, *, run_count: int = 1, **fields: Any) -> None:
        super().__init__(message, result, run_count=run_count, **fields)


class _MetaState(State):
    """A state about another state; wrapping a meta state keeps the innermost one."""

    __slots__ = ("state",)

    def __init__(self, message: Any = None, result: Any = None, *, state: State | None = None, **fields: Any) -> None:
        super().__init__(message, result, **fields)
        while isinstance(state, _MetaState):
            state = state.state
        self.state: State | None = state


class ClientFailed(_MetaState):
    """The engine's client lost its server; ``state`` is what it wanted to report."""

    __slots__ = ()


class Submitted(_MetaState):
    """Handed to an executor."""

    __slots__ = ()


class Queued(_MetaState):
    """Waiting for a slot until ``start_time`` (now unless given)."""

    __slots__ = ()

    def __init__(self, message: Any = None, result: Any = None, **fields: Any) -> None:
        super().__init__(message, result, **fields)
        if self.start_time is None:
            self.start_time = self.timestamp


class Running(State):
    """At work."""

    __slots__ = ()


class Cancelling(Running):
    """Told to stop, still at work."""

    __slots__ = ()


class Finished(State):
    """The run has ended."""

    __slots__ = ()


class Looped(Finished):
    """One round of a loop has ended; ``result`` is that round's."""

    __slots__ = ()


class Success(Finished):
    """Ended well; ``result`` is the return value."""

    __slots__ = ()


class Cached(Success):
    """Ended well with an earlier result."""

    __slots__ = ()


class Mapped(Success):
    """The parent of mapped runs; they carry the results."""

    __slots__ = ()


class Skipped(Success):
    """Ended well without running."""

    __slots__ = ()


class Cancelled(Finished):
    """Stopped by somebody; not a failure."""

    __slots__ = ()


class RolledBack(Finished):
    """Its effects were undone. Not in Prefect 1; Prefect 3's name ``RolledBack``, which follows a ``Completed``.

    No success, though Prefect's type says ``COMPLETED``: who waits for one must not take this for it.
    """

    __slots__ = ()


class Failed(Finished):
    """Ended badly; ``result`` is the exception or the signal."""

    __slots__ = ()


class TimedOut(Failed):
    """Took longer than its timeout."""

    __slots__ = ()


class TriggerFailed(Failed):
    """Never ran: its trigger was not met."""

    __slots__ = ()


class ValidationFailed(Failed):
    """Ran, and its result was refused."""

    __slots__ = ()


class Crashed(Failed):
    """Its process or machine went away. Not in Prefect 1; Prefect 3's type ``CRASHED``."""

    __slots__ = ()


class Lost(Crashed):
    """Its heartbeats have stopped, and no engine has said that it ended. Said by a source of ours, not by an engine."""

    __slots__ = ()


def _aware(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _family(root: type[State]) -> list[type[State]]:
    return [root, *(cls for child in root.__subclasses__() for cls in _family(child))]


STATES: Mapping[str, type[State]] = {cls.type: cls for cls in _family(State) if not cls.__name__.startswith("_")}
"""Every state class by its type."""

PREDICATES: Mapping[str, frozenset[str]] = {
    method.removeprefix("is_"): frozenset(kind for kind, cls in STATES.items() if getattr(cls(), method)())
    for method in vars(State)
    if method.startswith("is_") and method != "is_final"
}
"""For each predicate (``failed`` for ``is_failed``), the state types it holds for. ``final`` is not here: it
depends on the engine's retries, not on the type alone."""

SEVERITIES: Mapping[str, Severity] = {
    kind: "failure"
    if kind in PREDICATES["failed"]
    else "warning"
    if kind in {"Retrying", "Late", "Cancelling", "Cancelled", "RolledBack", "ClientFailed"}
    else "success"
    if kind in PREDICATES["successful"]
    else "info"
    for kind in STATES
}
"""The severity a notification takes from its state type unless its handler says otherwise."""
