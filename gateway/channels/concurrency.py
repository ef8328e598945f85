"""Concurrency: how many sends at a time one instance of a plugin can stand, read from its source."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from apprise.plugins.base import NotifyBase

WIDTH = 8
"""Sends at a time through a plugin that keeps nothing between them."""

Methods = Mapping[str, list[ast.FunctionDef]]


@functools.cache
def width(plugin: Any) -> int:
    """1 for a plugin whose instances change while sending (tokens, sessions, connections), else ``WIDTH``."""
    return 1 if changes_itself(plugin) else WIDTH


def changes_itself(plugin: Any) -> bool:
    """Whether sending assigns to the instance.

    Read from the source: every method that ``send`` can reach and that sets an attribute of ``self``
    counts. Where there is no source to read, the answer is yes.
    """
    try:
        methods = _methods(plugin)
    except (OSError, SyntaxError, StopIteration):
        return True
    return any(True for name in _reached(methods) for node in methods[name] for _ in _own_attributes(node, ast.Store))


def _reached(methods: Methods) -> set[str]:
    """The names of the methods that sending can come to, directly or through others."""
    reached, waiting = set[str](), [name for name in methods if name.startswith("send")]
    while waiting:
        name = waiting.pop()
        if name in methods and name not in reached:
            reached.add(name)
            for method in methods[name]:
                waiting += methods if _picks_by_name(method) else {n.attr for n in _own_attributes(method, ast.Load)}
    return reached


def _picks_by_name(method: ast.FunctionDef) -> bool:
    """Whether ``method`` has a ``getattr`` of a name made up at run time: then it may reach any other."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "getattr"
        and not isinstance(node.args[1], ast.Constant)
        for node in ast.walk(method)
    )


def _methods(plugin: Any) -> Methods:
    """The methods a plugin and its ancestors below apprise's base define, by name."""
    found: dict[str, list[ast.FunctionDef]] = {}
    for ancestor in plugin.__mro__[: plugin.__mro__.index(NotifyBase)]:
        for statement in _definition(ancestor).body:
            if isinstance(statement, ast.FunctionDef) and statement.name != "__init__":
                found.setdefault(statement.name, []).append(statement)
    return found


def _definition(cls: type) -> ast.ClassDef:
    source = Path(sys.modules[cls.__module__].__file__ or "").read_text(encoding="utf-8")
    module = ast.parse(source)
    return next(node for node in module.body if isinstance(node, ast.ClassDef) and node.name == cls.__name__)


def _own_attributes(method: ast.FunctionDef, use: type[ast.expr_context]) -> Iterator[ast.Attribute]:
    """Attributes of ``self`` (or whatever the first parameter is called) that ``method`` loads or stores."""
    if not method.args.args:
        return
    own_name = method.args.args[0].arg
    for node in ast.walk(method):
        match node:
            case ast.Attribute(value=ast.Name(id=name), ctx=ctx) if name == own_name and isinstance(ctx, use):
                yield node
