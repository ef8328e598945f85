"""State handlers: callables ``(obj, old_state, new_state) -> state``, how they are made and called.

``callback_factory(fn, check)`` makes one from an action and a filter. A ``check`` or ``fn`` that
needs more than the new state (the old one, the ids of the run) is *transition-aware*: it has a
method ``holds(transition)`` or ``tell(transition)`` and is given the normalised transition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from gateway.inprocess import observe
from gateway.transition import Transition

StateHandler = Callable[[Any, Any, Any], Any]
"""``(obj, old_state, new_state) -> state``. Returning ``None`` leaves ``new_state`` as it is."""

Check = Callable[[Any], Any]
"""``check(new_state)``: the callback runs only if this returns ``True`` itself."""

Callback = Callable[[Any, Any], Any]
"""``fn(obj, new_state)``; what it returns is ignored."""


class TransitionCheck(Protocol):
    """A check that wants the whole transition."""

    def holds(self, transition: Transition) -> bool:
        """Whether the callback is to run."""


class TransitionCallback(Protocol):
    """A callback that wants the whole transition."""

    def tell(self, transition: Transition) -> None:
        """Act on it."""


class CallbackHandler:
    """The state handler ``callback_factory`` makes. Pickles as its two parts."""

    __slots__ = ("_holds", "_tell", "check", "fn")

    def __init__(self, fn: Callback | TransitionCallback, check: Check | TransitionCheck) -> None:
        self.fn: Any = fn
        self.check: Any = check
        self._holds: Callable[[Transition], bool] | None = getattr(check, "holds", None)
        self._tell: Callable[[Transition], None] | None = getattr(fn, "tell", None)

    def __call__(self, obj: Any, old_state: Any, new_state: Any) -> Any:
        """Run ``fn`` if ``check`` holds; always return ``new_state``. Errors of either propagate."""
        if self._holds is None and self._tell is None:
            if self.check(new_state) is True:
                self.fn(obj, new_state)
            return new_state
        transition = observe(obj, old_state, new_state)
        holds = self.check(new_state) if self._holds is None else self._holds(transition)
        if holds is True:
            if self._tell is None:
                self.fn(obj, new_state)
            else:
                self._tell(transition)
        return new_state

    def __reduce__(self) -> tuple[Any, ...]:
        return callback_factory, (self.fn, self.check)


def callback_factory(fn: Callback | TransitionCallback, check: Check | TransitionCheck) -> CallbackHandler:
    """A state handler that calls ``fn(obj, new_state)`` whenever ``check(new_state)`` is ``True``.

    Only ``True`` itself counts, as in Prefect: a truthy number or match object does not fire. The
    handler returns the new state unchanged and lets every error of ``fn`` and ``check`` through,
    which fails the run it is attached to.
    """
    return CallbackHandler(fn, check)


def is_failed(state: Any) -> bool:
    """The check behind ``on_failure``: every kind of failure, once per failed attempt."""
    return bool(state.is_failed())


def on_failure_handler(fn: Callback) -> CallbackHandler:
    """The state handler that the keyword ``on_failure=fn`` of a task or flow adds after the others."""
    return callback_factory(fn, is_failed)


def call_handlers(handlers: Sequence[StateHandler], obj: Any, old_state: Any, new_state: Any) -> Any:
    """Call ``handlers`` in order and return the state that results.

    Each may return a replacement, which the later ones see; a falsy value keeps the state. The
    first error stops the walk and propagates.
    """
    for handler in handlers:
        new_state = handler(obj, old_state, new_state) or new_state
    return new_state
