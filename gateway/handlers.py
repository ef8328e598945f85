"""State handlers: callables ``(obj, old_state, new_state) -> state``, how they are made and called.

``callback_factory(fn, check)`` makes one from an action and a filter. A ``check`` or ``fn`` that
needs more than the new state (the old one, the ids of the run) is *transition-aware*: it has a
method ``holds(transition)`` or ``tell(transition)`` and is given the normalised transition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import iscoroutine
from typing import Any, Protocol

from gateway.inprocess import observe
from gateway.states import State
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


def handler_list(state_handlers: Sequence[StateHandler] | None, on_failure: Callback | None) -> list[StateHandler]:
    """The handlers of a task or flow, ``on_failure`` last, in a list of their own.

    Raises:
        TypeError: ``state_handlers`` is not a sequence of callables, or ``on_failure`` is not callable.
    """
    given = [] if state_handlers is None else state_handlers
    if not isinstance(given, Sequence) or not all(map(callable, given)):
        raise TypeError(f"state_handlers is a list of functions: state_handlers=[handler], not {given!r}")
    if on_failure is None:
        return [*given]
    if not callable(on_failure):
        raise TypeError(f"on_failure is a function of an object and a state, not {on_failure!r}")
    return [*given, on_failure_handler(on_failure)]


def call_handlers(handlers: Sequence[StateHandler], obj: Any, old_state: State, new_state: State) -> State:
    """Call ``handlers`` in order and return the state that results.

    Each may return a replacement, which the later ones see; a falsy value keeps the state. The
    first error stops the walk and propagates.

    Raises:
        TypeError: a handler returned something that is not a state.
    """
    for handler in handlers:
        returned = handler(obj, old_state, new_state)
        if returned and returned is not new_state:
            new_state = _checked(returned, handler)
    return new_state


def _checked(returned: Any, handler: StateHandler) -> State:
    if isinstance(returned, State):
        return returned
    name = getattr(handler, "__qualname__", type(handler).__name__)
    if iscoroutine(returned):
        returned.close()
        raise TypeError(f"the state handler {name} is an async function; state handlers are plain functions")
    raise TypeError(
        f"the state handler {name} returned an object of type {type(returned).__name__}; right is a state or None"
    )
