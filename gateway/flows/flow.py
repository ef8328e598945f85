"""Flows: tasks and the order between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextvars import Token
from graphlib import TopologicalSorter
from typing import Any, Self

from gateway.flows.arguments import NO_ARGUMENTS, Arguments
from gateway.flows.runner import Runner
from gateway.flows.task import Parameter, Task, building
from gateway.handlers import Callback, StateHandler, handler_list
from gateway.states import State


class Flow:
    """A graph of tasks, without cycles.

    Args:
        name: not empty.
        tasks: tasks without arguments to put in; others join by being called in ``with Flow(...)``.
        state_handlers: called in order with every change of the flow's own state.
        on_failure: ``on_failure(flow, state)`` is called after them when the flow has failed.

    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: the name is empty.
    """

    def __init__(
        self,
        name: str,
        *,
        tasks: Iterable[Task] = (),
        state_handlers: Sequence[StateHandler] | None = None,
        on_failure: Callback | None = None,
    ) -> None:
        if not name:
            raise ValueError("a flow needs a name")
        self.name = name
        self.state_handlers = handler_list(state_handlers, on_failure)
        self._upstream: dict[Task, dict[Task, None]] = {}
        self._downstream: dict[Task, dict[Task, None]] = {}
        self._arguments: dict[Task, Arguments] = {}
        self._reference_tasks: tuple[Task, ...] = ()
        self._outer: list[Token[Flow | None]] = []
        for task in tasks:
            self.add_task(task)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks in the order they joined."""
        return tuple(self._upstream)

    def parameters(self) -> tuple[Parameter, ...]:
        """The tasks that are parameters."""
        return tuple(task for task in self._upstream if isinstance(task, Parameter))

    def upstream_tasks(self, task: Task) -> tuple[Task, ...]:
        """The tasks right before ``task``."""
        return tuple(self._upstream[task])

    def downstream_tasks(self, task: Task) -> tuple[Task, ...]:
        """The tasks right after ``task``."""
        return tuple(self._downstream[task])

    def arguments(self, task: Task) -> Arguments:
        """What ``task`` is called with."""
        return self._arguments.get(task, NO_ARGUMENTS)

    def sorted_tasks(self) -> tuple[Task, ...]:
        """The tasks in an order in which they can run; the same order for the same flow."""
        return tuple(TopologicalSorter(self._upstream).static_order())

    def add_task(self, task: Task) -> Task:
        """Put ``task`` in, unless it is there, and return it.

        Raises:
            TypeError: it is not a task.
            ValueError: it is a second parameter of the same name.
        """
        if task in self._upstream:
            return task
        if not isinstance(task, Task):
            raise TypeError(f"{self} takes tasks, not {task!r}")
        if isinstance(task, Parameter) and any(task.name == other.name for other in self.parameters()):
            raise ValueError(f"{self} already has a parameter {task.name!r}")
        self._upstream[task] = {}
        self._downstream[task] = {}
        return task

    def bind(
        self, task: Task, args: tuple[Any, ...], kwargs: Mapping[str, Any], upstream_tasks: Iterable[Task] = ()
    ) -> None:
        """Put ``task`` in, to be called with these arguments after the tasks in them and ``upstream_tasks``."""
        arguments = Arguments.of(args, kwargs)
        for upstream in (*arguments.tasks(), *upstream_tasks):
            self.add_edge(upstream, task)
        self.add_task(task)
        self._arguments[task] = arguments

    def add_edge(self, upstream: Task, downstream: Task, *, key: str | None = None) -> None:
        """Let ``upstream`` run before ``downstream``; its result is the argument ``key``, if given.

        Raises:
            ValueError: the edge would close a cycle.
        """
        self.add_task(upstream)
        self.add_task(downstream)
        self._refuse_cycle(upstream, downstream)
        self._upstream[downstream][upstream] = None
        self._downstream[upstream][downstream] = None
        if key is not None:
            self._arguments[downstream] = self.arguments(downstream).with_keyword(key, upstream)

    def set_upstream(self, task: Task, upstream: Task, *, key: str | None = None) -> None:
        """:meth:`add_edge`, told from the later task."""
        self.add_edge(upstream, task, key=key)

    def set_downstream(self, task: Task, downstream: Task, *, key: str | None = None) -> None:
        """:meth:`add_edge`, told from the earlier task."""
        self.add_edge(task, downstream, key=key)

    def reference_tasks(self) -> tuple[Task, ...]:
        """The tasks that decide how the flow ends: those set, else all that have no task after them."""
        return self._reference_tasks or tuple(task for task, after in self._downstream.items() if not after)

    def set_reference_tasks(self, tasks: Iterable[Task]) -> None:
        """Let ``tasks`` decide how the flow ends; none returns to the default.

        Raises:
            ValueError: one of them is not in the flow.
        """
        chosen = tuple(tasks)
        strangers = [task for task in chosen if task not in self._upstream]
        if strangers:
            raise ValueError(f"{self} has no {', '.join(map(repr, strangers))}; reference tasks are tasks of the flow")
        self._reference_tasks = chosen

    def run(self, parameters: Mapping[str, Any] | None = None, /, **named: Any) -> State:
        """Run the flow here and now, and return its final state; ``state.result`` maps its tasks to theirs.

        Retries are waited for. If a task pauses for approval, the flow is still ``Running`` when all else is done.

        Args:
            parameters: the parameters' values, by name.
            named: more of them.

        Raises:
            ValueError: a required parameter is missing.
            TypeError: a parameter is not the flow's.
        """
        return Runner(self).run({**(parameters or {}), **named})

    def __enter__(self) -> Self:
        self._outer.append(building.set(self))
        return self

    def __exit__(self, *exc_info: object) -> None:
        building.reset(self._outer.pop())

    def __repr__(self) -> str:
        return f"<Flow: name={self.name}>"

    def _refuse_cycle(self, upstream: Task, downstream: Task) -> None:
        path = self._path(downstream, upstream)
        if path:
            cycle = " > ".join(task.name for task in (*path, downstream))
            raise ValueError(f"{self} would have a cycle: {cycle}")

    def _path(self, start: Task, goal: Task) -> list[Task]:
        """The tasks from ``start`` down to ``goal``, both included; empty if there is no way."""
        came_from: dict[Task, Task | None] = {start: None}
        ahead = [start]
        while ahead:
            task = ahead.pop()
            if task is goal:
                return _trail(goal, came_from)
            fresh = [after for after in self._downstream[task] if after not in came_from]
            came_from.update(dict.fromkeys(fresh, task))
            ahead.extend(fresh)
        return []


def _trail(task: Task | None, came_from: Mapping[Task, Task | None]) -> list[Task]:
    trail: list[Task] = []
    while task is not None:
        trail.insert(0, task)
        task = came_from[task]
    return trail
