"""Arguments: what a task is called with in a flow; tasks among them stand for their results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from gateway.flows.task import Task
from gateway.states import State

States = Mapping[Task, State]


@dataclass(frozen=True, slots=True)
class Form:
    """A value to be filled in: a task, or a list, tuple, set or dict that holds some at any depth."""

    value: Any
    tasks: tuple[Task, ...]

    def filled(self, states: States) -> Any:
        """The value with the result of its state in place of each task."""
        return _filled(self.value, states)


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one call. Values without tasks in them are handed over as they are, never copied."""

    positional: tuple[Any, ...] = ()
    keyword: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, positional: tuple[Any, ...], keyword: Mapping[str, Any]) -> Self:
        """The arguments of a call made while a flow is built."""
        return cls(
            tuple(_formed(value) for value in positional),
            {name: _formed(value) for name, value in keyword.items()},
        )

    def with_keyword(self, name: str, task: Task) -> Self:
        """The same, with ``task``'s result as the argument ``name``."""
        return replace(self, keyword={**self.keyword, name: _formed(task)})

    def tasks(self) -> Iterator[Task]:
        """Every task whose result is needed."""
        for value in (*self.positional, *self.keyword.values()):
            if isinstance(value, Form):
                yield from value.tasks

    def filled(self, states: States) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments, with the results that ``states`` carry."""
        return (
            [_value(argument, states) for argument in self.positional],
            {name: _value(argument, states) for name, argument in self.keyword.items()},
        )


NO_ARGUMENTS = Arguments()


def _formed(value: Any) -> Any:
    tasks = tuple(_tasks_in(value))
    return Form(value, tasks) if tasks else value


def _tasks_in(value: Any) -> Iterator[Task]:
    if isinstance(value, Task):
        yield value
    elif type(value) is dict:
        yield from _tasks_in([*value.values()])
    elif type(value) in (list, tuple, set):
        for item in value:
            yield from _tasks_in(item)


def _value(argument: Any, states: States) -> Any:
    return argument.filled(states) if isinstance(argument, Form) else argument


def _filled(value: Any, states: States) -> Any:
    if isinstance(value, Task):
        return states[value].result
    if type(value) is dict:
        return {key: _filled(item, states) for key, item in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(_filled(item, states) for item in value)
    return value
