"""Tasks: the units of work of a flow."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from copy import copy
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, overload

from gateway.context import context
from gateway.flows.triggers import Trigger, all_successful
from gateway.handlers import Callback, StateHandler, handler_list

if TYPE_CHECKING:
    from gateway.flows.flow import Flow

building: ContextVar[Flow | None] = ContextVar("gateway_flow_being_built", default=None)
"""The flow whose ``with`` block is open: the one that called tasks join."""


class Task:
    """A unit of work: subclasses define :meth:`run`.

    Args:
        name: the class name unless given.
        state_handlers: called in order with every change of state.
        on_failure: ``on_failure(task, state)`` is called after them whenever an attempt fails.
        max_retries: how many more attempts follow a failed one.
        retry_delay: how long to wait for each, a ``timedelta`` or seconds; none by default.
        timeout: how long an attempt may take, a ``timedelta`` or seconds. An attempt with a time
            limit runs in a thread of its own; when the limit is up the task goes on as
            ``TimedOut``, and the thread, which Python cannot stop, is left to itself.
        trigger: decides, once the tasks before it are over, whether this one runs.
        skip_on_upstream_skip: skip this task if one before it was skipped, whatever the trigger.
        tags: labels.

    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: a number or duration is out of range.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        state_handlers: Sequence[StateHandler] | None = None,
        on_failure: Callback | None = None,
        max_retries: int = 0,
        retry_delay: timedelta | float | None = None,
        timeout: timedelta | float | None = None,
        trigger: Trigger = all_successful,
        skip_on_upstream_skip: bool = True,
        tags: Iterable[str] = (),
    ) -> None:
        if max_retries < 0:
            raise ValueError(f"max_retries is the number of further attempts, not {max_retries}")
        if retry_delay is not None and max_retries == 0:
            raise ValueError("retry_delay has no effect without max_retries; give max_retries=1 or more")
        if timeout in (0, timedelta(0)):
            raise ValueError("a timeout of nothing lets nothing run; leave it out for no limit")
        if isinstance(tags, str):
            raise TypeError(f"tags is a list of texts: tags=[{tags!r}]")
        if not callable(trigger):
            raise TypeError(f"trigger is a function of the upstream states, not {trigger!r}")
        self.name = name or type(self).__name__
        self.state_handlers = handler_list(state_handlers, on_failure)
        self.max_retries = max_retries
        self.retry_delay = timedelta(0) if retry_delay is None else _duration("retry_delay", retry_delay)
        self.timeout = None if timeout is None else _duration("timeout", timeout)
        self.trigger = trigger
        self.skip_on_upstream_skip = skip_on_upstream_skip
        self.tags = frozenset(tags)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work; what it returns is the result of the final state. Does nothing unless overridden."""

    def signature(self) -> inspect.Signature:
        """What :meth:`run` can be called with."""
        return inspect.signature(self.run)

    def __call__(self, *args: Any, upstream_tasks: Iterable[Task] = (), **kwargs: Any) -> Self:
        """Put a copy of this task into the flow being built and return it.

        Tasks among the arguments (also inside lists, tuples, sets and dicts) stand for their results
        and run first, as do ``upstream_tasks``. The copy shares the list of state handlers.

        Raises:
            ValueError: no flow is being built.
            TypeError: :meth:`run` does not take these arguments.
        """
        flow = self._flow()
        self.signature().bind(*args, **kwargs)
        placed = self._placed()
        flow.bind(placed, args, kwargs, upstream_tasks)
        return placed

    def set_upstream(self, task: Task, *, key: str | None = None) -> None:
        """Let ``task`` run before this one in the flow being built; its result is the argument ``key``, if given."""
        self._flow().add_edge(task, self, key=key)

    def set_downstream(self, task: Task, *, key: str | None = None) -> None:
        """Let ``task`` run after this one in the flow being built; our result is its argument ``key``, if given."""
        self._flow().add_edge(self, task, key=key)

    def _placed(self) -> Self:
        return copy(self)

    def _flow(self) -> Flow:
        flow = building.get()
        if flow is None:
            raise ValueError(f"{self} joins a flow inside `with Flow(...)`; to run it alone, call its run()")
        return flow

    def __repr__(self) -> str:
        return f"<Task: {self.name}>"


class FunctionTask(Task):
    """A task out of a function; its name is the function's unless given."""

    def __init__(self, function: Callable[..., Any], *, name: str | None = None, **options: Any) -> None:
        super().__init__(name or getattr(function, "__name__", None), **options)
        self.function = function
        self.__doc__ = function.__doc__

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function(*args, **kwargs)

    def signature(self) -> inspect.Signature:
        """What the function can be called with."""
        return inspect.signature(self.function)


@overload
def task(function: Callable[..., Any], /, **options: Any) -> FunctionTask: ...


@overload
def task(**options: Any) -> Callable[[Callable[..., Any]], FunctionTask]: ...


def task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a :class:`Task`; ``options`` are those of ``Task``. Used as ``@task`` or ``@task(...)``."""
    if function is None:
        return lambda function: FunctionTask(function, **options)
    return FunctionTask(function, **options)


_NO_DEFAULT: Any = object()


class Parameter(Task):
    """A task whose result is what the flow is run with: ``flow.run(name=value)``.

    Args:
        name: its name, unique in the flow.
        default: the value where the run gives none.
        required: whether the run must give one; true unless there is a default.
        options: those of :class:`Task`.
    """

    def __init__(self, name: str, default: Any = _NO_DEFAULT, *, required: bool | None = None, **options: Any) -> None:
        super().__init__(name, **options)
        self.default = None if default is _NO_DEFAULT else default
        self.required = default is _NO_DEFAULT if required is None else required

    def run(self) -> Any:
        """The value of this run."""
        return (context.get("parameters") or {}).get(self.name, self.default)

    def _placed(self) -> Self:
        # A copy would be a second parameter of the same name.
        return self

    def __repr__(self) -> str:
        return f"<Parameter: {self.name}>"


LONGEST = timedelta(days=36_500)
"""A hundred years: so much later than any run that adding it to its time is still a time."""


def _duration(argument: str, value: timedelta | float) -> timedelta:
    duration = value if isinstance(value, timedelta) else timedelta(seconds=value)
    if not timedelta(0) <= duration <= LONGEST:
        raise ValueError(f"{argument} is a timedelta or seconds, from none to a hundred years, not {value!r}")
    return duration
