"""Hooks: what is attached to flows and tasks of Prefect 3, and hands on each change of their state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import iscoroutinefunction, isfunction
from typing import Any, Protocol, TypeVar

from gateway.client import Client
from gateway.prefect.objects import observe, observe_retry
from gateway.prefect.reach import is_flow, is_task, reached
from gateway.transition import Transition

log = logging.getLogger("gateway.prefect")

T = TypeVar("T")

RetryCondition = Callable[[Any, Any, Any], Any]
"""Called with a task, its run and the failed state; whether to try again."""

OF_FLOW = ("on_running", "on_completion", "on_failure", "on_crashed", "on_cancellation")
OF_TASK = ("on_running", "on_completion", "on_failure")
"""The hooks that Prefect knows, by the names of the arguments that take them."""


class Sink(Protocol):
    """Takes transitions; neither waits nor raises. A ``Gateway`` and a ``gateway.client.Client`` are."""

    def take(self, transitions: Sequence[Transition]) -> object:
        """Take them."""


class Hooks:
    """Tells a gateway of what happens to flows and tasks of Prefect 3, in their own process.

    Args:
        sink: who is told; a :class:`gateway.client.Client` that the environment describes unless given.
        ui: where Prefect's pages are, for the URLs of runs; as Prefect is set to unless given.

    It is itself a hook, for flows and tasks alike: ``on_failure=[hooks]``. :meth:`attach` adds it wherever it can be.
    A call neither raises nor waits: it makes the transition and leaves the rest to the sink.
    """

    __name__ = "gateway"

    def __init__(self, sink: Sink | None = None, *, ui: str | None = None) -> None:
        self._sink: Sink = Client() if sink is None else sink
        self._ui = ui

    def __call__(self, flow: object, flow_run: object, state: object) -> None:
        """Tell that a run, of a task as well, has entered ``state``.

        The names are Prefect's: whoever looks after a flow's process, and finds it cancelled or crashed, calls by them.
        """
        self._tell(lambda: observe(flow, flow_run, state, self._ui))

    @property
    def of_flow(self) -> dict[str, Any]:
        """The arguments by which a flow tells of all it can: ``@flow(**hooks.of_flow)``."""
        return {name: [self] for name in OF_FLOW}

    @property
    def of_task(self) -> dict[str, Any]:
        """The arguments by which a task tells of all it can: ``@task(retries=2, **hooks.of_task)``."""
        return {**{name: [self] for name in OF_TASK}, "retry_condition_fn": self.retry_condition()}

    def attach(self, flow: T, *more: object) -> T:
        """Have ``flow`` tell of all it can, and so the tasks and flows that its code refers to; return it.

        Args:
            flow: a flow, or a task.
            more: tasks and flows that are not found by name.

        Whatever hooks they have already stay. To attach twice is to attach once. When the flow begins to run, its code
        is looked at again: tasks may be defined after the flow is.

        Raises:
            TypeError: one of them is neither a flow nor a task of Prefect 3.
        """
        for one in (flow, *more):
            if not (is_flow(one) or is_task(one)):
                raise TypeError(
                    "hooks are attached to a flow or a task of Prefect 3, not to an object of type "
                    f"{type(one).__name__}; @hooks.attach stands above @flow"
                )
            self._attach_to(one)
            self.attach_to_reached(one)
        return flow

    def attach_to_reached(self, flow: object) -> None:
        """Have the tasks and flows that the code of ``flow`` refers to tell of all they can."""
        for one in reached(flow):
            self._attach_to(one)

    def retry_condition(self, condition: RetryCondition | None = None) -> RetryCondition:
        """A ``retry_condition_fn`` that tells of each retry.

        Args:
            condition: the task's own; without one, every failure is tried again, as Prefect does.

        An error of ``condition`` goes to Prefect as it is, which then does not try again.
        """
        return _asynchronous(self, condition) if iscoroutinefunction(condition) else _synchronous(self, condition)

    def tell_retry(self, task: object, run: object, state: object) -> None:
        """Tell that ``run``, which has failed as ``state`` says, will be tried again."""
        self._tell(lambda: observe_retry(task, run, state, self._ui))

    def _attach_to(self, one: Any) -> None:
        is_whole = is_flow(one)
        for name in OF_FLOW if is_whole else OF_TASK:
            hooks = getattr(one, f"{name}_hooks", None)
            if isinstance(hooks, list) and not any(_tells(hook, self) for hook in hooks):
                added = _Beginning(self) if is_whole and name == "on_running" else self
                setattr(one, f"{name}_hooks", [*hooks, added])  # a list of its own: copies share theirs
        if not is_whole:
            self._attach_to_retries(one)

    def _attach_to_retries(self, task: Any) -> None:
        """Prefect asks a plain function only; of anything else it makes a no, which must stay one."""
        condition = getattr(task, "retry_condition_fn", None)
        if condition is not None and not isfunction(condition):
            log.warning("the retries of a task are not told: its retry_condition_fn is no plain function")
        elif getattr(condition, "hooks", None) is not self:
            task.retry_condition_fn = self.retry_condition(condition)

    def _tell(self, make: Callable[[], Transition]) -> None:
        try:
            self._sink.take([make()])
        except Exception as error:  # the flow must not fail for it
            log.warning("a state change was not told", extra={"error": f"{type(error).__name__}: {error}"[:300]})


class _Beginning:
    """The hook at the beginning of a flow: tasks that were defined after it was attached are found now."""

    __name__ = "gateway"

    def __init__(self, hooks: Hooks) -> None:
        self.hooks = hooks

    def __call__(self, flow: object, flow_run: object, state: object) -> None:
        try:
            self.hooks.attach_to_reached(flow)
        except Exception as error:
            log.warning("the tasks of a flow were not found", extra={"error": type(error).__name__})
        self.hooks(flow, flow_run, state)


def _tells(hook: object, hooks: Hooks) -> bool:
    return hook is hooks or (isinstance(hook, _Beginning) and hook.hooks is hooks)


def _synchronous(hooks: Hooks, condition: RetryCondition | None) -> RetryCondition:
    def retry_condition(task: object, run: object, state: object) -> Any:
        decision = True if condition is None else condition(task, run, state)
        if decision:
            hooks.tell_retry(task, run, state)
        return decision

    return _marked(retry_condition, hooks, condition)


def _asynchronous(hooks: Hooks, condition: RetryCondition) -> RetryCondition:
    async def retry_condition(task: object, run: object, state: object) -> Any:
        decision = await condition(task, run, state)
        if decision:
            hooks.tell_retry(task, run, state)
        return decision

    return _marked(retry_condition, hooks, condition)


def _marked(made: Any, hooks: Hooks, condition: RetryCondition | None) -> RetryCondition:
    """``made`` with the name of the condition it stands for, and whose it is."""
    if condition is not None:
        made = wraps(condition)(made)
    made.hooks = hooks
    return made  # type: ignore[no-any-return]
