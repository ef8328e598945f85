"""Time limits: run a function for at most so long, from any thread, on any system."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from datetime import timedelta
from threading import Thread
from typing import Any


class TimeLimitReached(Exception):
    """The function was still running when its time was up."""


def run_within(limit: timedelta, function: Callable[[], Any]) -> Any:
    """What ``function`` returns or raises, if it does so within ``limit``.

    It runs in a thread of its own, in a copy of the caller's context. Python cannot stop a thread:
    one that overruns goes on in the background, unheard, and does not keep the process alive.

    Raises:
        TimeLimitReached: time is up.
    """
    outcome: Future[Any] = Future()
    run = copy_context().run
    thread = Thread(target=lambda: run(_into, outcome, function), name="gateway-task", daemon=True)
    thread.start()
    thread.join(limit.total_seconds())
    if not outcome.done():
        raise TimeLimitReached(f"still running after {limit.total_seconds():g} s")
    return outcome.result()


def _into(outcome: Future[Any], function: Callable[[], Any]) -> None:
    try:
        outcome.set_result(function())
    except BaseException as error:  # the caller's to judge, SystemExit included
        outcome.set_exception(error)
