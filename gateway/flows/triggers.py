"""Triggers: whether a task may run, given the final states of the tasks before it.

A trigger is any callable that takes a mapping of upstream tasks to their states. It returns whether
the task may run, or raises a signal to say which state the task takes instead. All those of
this module let a task without upstream tasks run, ``manual_only`` apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from gateway.context import context
from gateway.flows.signals import PAUSE, SKIP, TRIGGERFAIL
from gateway.states import State

Upstream = Mapping[Any, State]
"""The tasks right before a task, with the states they ended in."""

Trigger = Callable[[Upstream], Any]
"""``trigger(upstream)``: truthy if the task may run."""


def all_successful(upstream: Upstream) -> bool:
    """Every upstream task succeeded; the default. Skipped counts as success, here and below."""
    met = all(state.is_successful() for state in upstream.values())
    return _met_or_fail(met, "all_successful", "some of the upstream tasks failed")


def all_failed(upstream: Upstream) -> bool:
    """Every upstream task failed."""
    met = all(state.is_failed() for state in upstream.values())
    return _met_or_fail(met, "all_failed", "some of the upstream tasks succeeded")


def any_successful(upstream: Upstream) -> bool:
    """At least one upstream task succeeded."""
    met = not upstream or any(state.is_successful() for state in upstream.values())
    return _met_or_fail(met, "any_successful", "none of the upstream tasks succeeded")


def any_failed(upstream: Upstream) -> bool:
    """At least one upstream task failed."""
    met = not upstream or any(state.is_failed() for state in upstream.values())
    return _met_or_fail(met, "any_failed", "none of the upstream tasks failed")


def all_finished(upstream: Upstream) -> bool:
    """Every upstream task is over, however it ended: the task always runs."""
    met = all(state.is_finished() for state in upstream.values())
    return _met_or_fail(met, "all_finished", "some of the upstream tasks were not finished")


always_run = all_finished


def not_all_skipped(upstream: Upstream) -> bool:
    """Every upstream task succeeded and one of them really ran; if all were skipped, this one is too.

    Of use with ``skip_on_upstream_skip=False``: a skipped upstream task is asked about before any trigger.
    """
    met = all(state.is_successful() for state in upstream.values())
    _met_or_fail(met, "not_all_skipped", "some of the upstream tasks failed")
    if upstream and all(state.is_skipped() for state in upstream.values()):
        raise SKIP("All upstream tasks were skipped.")
    return True


def manual_only(upstream: Upstream) -> bool:
    """Pause the task until it is resumed (see :class:`gateway.flows.Runner`)."""
    if context.get("resume"):
        return True
    raise PAUSE('Trigger is "manual_only": the task waits for approval.')


def some_failed(*, at_least: float | None = None, at_most: float | None = None) -> Trigger:
    """Make a trigger that bounds how many upstream tasks failed.

    Args:
        at_least: an ``int`` is a number of tasks, a ``float`` a share of them from 0.0 to 1.0.
        at_most: likewise.

    Raises:
        ValueError: neither bound is given, or one is out of range.
    """
    return _bounded("some_failed", State.is_failed, at_least, at_most)


def some_successful(*, at_least: float | None = None, at_most: float | None = None) -> Trigger:
    """Make a trigger that bounds how many upstream tasks succeeded; see :func:`some_failed`."""
    return _bounded("some_successful", State.is_successful, at_least, at_most)


def _bounded(
    name: str, counts: Callable[[State], bool], at_least: float | None, at_most: float | None
) -> Callable[[Upstream], bool]:
    if at_least is None and at_most is None:
        raise ValueError(f"{name} needs at_least, at_most or both: {name}(at_least=1)")
    for bound in (at_least, at_most):
        if bound is not None and (bound < 0 or (isinstance(bound, float) and bound > 1)):
            raise ValueError(f"{name} takes a number of tasks (2) or a share of them (0.5), not {bound!r}")
    return partial(_in_bounds, name, counts, at_least, at_most)


def _in_bounds(
    name: str,
    counts: Callable[[State], bool],
    at_least: float | None,
    at_most: float | None,
    upstream: Upstream,
) -> bool:
    count = sum(counts(state) for state in upstream.values())
    lowest = 0 if at_least is None else _tasks(at_least, upstream)
    highest = len(upstream) if at_most is None else _tasks(at_most, upstream)
    return _met_or_fail(not upstream or lowest <= count <= highest, name, "thresholds were not met")


def _tasks(bound: float, upstream: Upstream) -> float:
    return bound * len(upstream) if isinstance(bound, float) else bound


def _met_or_fail(met: bool, trigger: str, reason: str) -> bool:
    if not met:
        raise TRIGGERFAIL(f'Trigger was "{trigger}" but {reason}.')
    return True
