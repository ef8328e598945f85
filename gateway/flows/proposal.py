"""Proposals: a state the engine means a task or flow to take is put to its state handlers first."""

from __future__ import annotations

import logging
from typing import Protocol

from gateway.flows.signals import ENDRUN
from gateway.handlers import StateHandler, call_handlers
from gateway.states import Failed, State

log = logging.getLogger("gateway.flows")


class Watched(Protocol):
    """A task or flow: something with state handlers."""

    state_handlers: list[StateHandler]


def settled(obj: Watched, old_state: State, proposed: State) -> State:
    """The state ``obj`` takes after all its handlers have seen ``proposed``; the first that raises is the last called.

    Raises:
        ENDRUN: a handler raised an ``Exception``: the run ends in ``Failed``, of which no handler is told.
        BaseException: a handler raised it: a signal, ``ENDRUN``, ``KeyboardInterrupt`` …
    """
    try:
        return call_handlers(obj.state_handlers, obj, old_state, proposed)
    except Exception as error:
        # The log is the only one to be told. Not the error's text: it may hold the address of a webhook.
        log.error("a state handler of %r raised %s; see the result of its state", obj, type(error).__name__)
        raise ENDRUN(Failed(f"Unexpected error while calling state handlers: {error!r}", error)) from error
