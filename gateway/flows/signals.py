"""Signals: raised in a task, a trigger or a state handler to say which state comes next.

They derive from ``BaseException``, so that a task's own ``except Exception`` does not swallow
them. Attributes set on a signal before it is raised are readable on ``state.result``::

    signal = signals.FAIL("disk is full")
    signal.free_bytes = 0
    raise signal
"""

from __future__ import annotations

from typing import Any, ClassVar

from gateway.states import (
    Failed,
    Paused,
    Retrying,
    Skipped,
    State,
    Success,
    TriggerFailed,
    ValidationFailed,
)


class Signal(BaseException):
    """Root of the signals that name a state.

    Args:
        message: the state's message.
        fields: further fields of the state (``start_time=`` for ``RETRY`` …). ``result`` is the
            signal itself unless given.
    """

    state_class: ClassVar[type[State]] = State

    def __init__(self, message: Any = None, **fields: Any) -> None:
        super().__init__(*() if message is None else (message,))
        self.state = self.state_class(message, **{"result": self, **fields})


class FAIL(Signal):
    """The run has failed; retried like any failure."""

    state_class = Failed


class TRIGGERFAIL(FAIL):
    """The trigger is not met."""

    state_class = TriggerFailed


class VALIDATIONFAIL(FAIL):
    """The result is refused."""

    state_class = ValidationFailed


class SUCCESS(Signal):
    """The run has succeeded."""

    state_class = Success


class RETRY(Signal):
    """Run again at ``start_time``, now unless given. Needs no ``max_retries`` and is not bounded by it."""

    state_class = Retrying


class SKIP(Signal):
    """The run is over with nothing done."""

    state_class = Skipped


class PAUSE(Signal):
    """Wait: until ``start_time`` if given, else until somebody approves."""

    state_class = Paused


class ENDRUN(BaseException):
    """The run ends in ``state``; no retry follows.

    Raises:
        TypeError: ``state`` is not a state.
    """

    def __init__(self, state: State) -> None:
        if not isinstance(state, State):
            raise TypeError(f"ENDRUN takes the state to end in, not a {type(state).__name__}")
        super().__init__(state)
        self.state = state
