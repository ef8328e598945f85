"""Reach: the tasks and flows that the code of a flow refers to, found without running it.

Looked at are the names a function uses: global ones, those of enclosing functions, members of modules and classes,
what stands in lists and mappings, and the functions that are called in turn. What a flow gets as an argument, or takes
from an object, is not found.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from inspect import unwrap
from types import CodeType, FunctionType, ModuleType

MOST_FUNCTIONS = 1_000
"""So many functions are looked at, at most."""

MOST_MEMBERS = 200
"""Of a longer list or mapping, the rest is not looked at."""

_FOREIGN = sys.stdlib_module_names | {"prefect", "gateway"}
"""Code of these packages is not looked into."""


def reached(flow: object) -> list[object]:
    """The tasks and flows that the code of ``flow`` refers to, those that they refer to included."""
    found: dict[int, object] = {}
    seen: set[int] = set()
    waiting = [flow]
    while waiting and len(seen) < MOST_FUNCTIONS:
        function = _function(waiting.pop())
        if function is None or id(function.__code__) in seen:
            continue
        seen.add(id(function.__code__))
        for value in _referred(function):
            if is_task(value) or is_flow(value):
                found.setdefault(id(value), value)
            if _is_looked_into(value):
                waiting.append(value)
    found.pop(id(flow), None)
    return list(found.values())


def is_task(value: object) -> bool:
    """Whether ``value`` is one of Prefect's tasks."""
    return _is(value, "Task")


def is_flow(value: object) -> bool:
    """Whether ``value`` is one of Prefect's flows."""
    return _is(value, "Flow")


def _is(value: object, name: str) -> bool:
    """Whether ``value`` is of a class of Prefect called ``name`` that has hooks; those of Prefect 1 have none."""
    is_named = any(base.__name__ == name and base.__module__.startswith("prefect.") for base in type(value).__mro__)
    return is_named and isinstance(getattr(value, "on_completion_hooks", None), list)


def _function(value: object) -> FunctionType | None:
    """The function behind a task, a flow or a decorator."""
    inner = getattr(value, "fn", None) if is_task(value) or is_flow(value) else value
    try:
        inner = unwrap(inner) if callable(inner) else None
    except ValueError:  # it wraps itself
        return None
    return inner if isinstance(inner, FunctionType) else None


def _is_looked_into(value: object) -> bool:
    if is_task(value) or is_flow(value):
        return True
    return isinstance(value, FunctionType) and (value.__module__ or "").partition(".")[0] not in _FOREIGN


def _referred(function: FunctionType) -> Iterator[object]:
    """Everything that ``function`` refers to by name."""
    names = {name for code in _codes(function.__code__) for name in code.co_names}
    for value in _values(function, names):
        yield value
        match value:
            case ModuleType() | type():
                yield from (vars(value)[name] for name in names if name in vars(value))
            case list() | tuple() | set():
                yield from list(value)[:MOST_MEMBERS]
            case Mapping():
                yield from list(value.values())[:MOST_MEMBERS]


def _values(function: FunctionType, names: set[str]) -> Iterator[object]:
    for name in names:
        if name in function.__globals__:
            yield function.__globals__[name]
        elif name in sys.modules:  # imported inside the function
            yield sys.modules[name]
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()


def _codes(code: CodeType) -> Iterator[CodeType]:
    """``code``, and that of the functions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
