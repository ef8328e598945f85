"""The operators of templates: which types they join, and what they do at run time, within limits."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from jinja2 import nodes

from gateway.rules.schema import ANY, DATETIME, FLOAT, INT, NONE, TIMEDELTA, Ty, TypeName
from gateway.rules.values import UnfitValue, kind_of, refuse_longer

Binary = Callable[[Any, Any], Any]

_WORDS: Mapping[TypeName, str] = {
    "str": "text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "datetime": "a time",
    "timedelta": "a duration",
    "none": "none",
    "list": "a list",
    "dict": "a mapping",
    "any": "untyped data",
}


def described(ty: Ty) -> str:
    """A type, in words for an error."""
    article = "an" if str(ty)[0] in "AEIO" else "a"
    return _WORDS.get(ty.name, f"{article} {ty}")


LARGEST = 10**18
NUMERIC = frozenset({"int", "float", "bool"})

SYMBOLS: Mapping[type[nodes.Expr], str] = {
    nodes.Add: "+",
    nodes.Sub: "-",
    nodes.Mul: "*",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
}

_NUMERIC: Mapping[str, Binary] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}

COMPARISONS: Mapping[str, Binary] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda left, right: left in right,
    "notin": lambda left, right: left not in right,
}
ORDERINGS = frozenset({"lt", "lteq", "gt", "gteq"})

_TIMES: Mapping[tuple[str, str, str], Ty] = {
    ("-", "datetime", "datetime"): TIMEDELTA,
    ("-", "datetime", "timedelta"): DATETIME,
    ("+", "datetime", "timedelta"): DATETIME,
    ("+", "timedelta", "datetime"): DATETIME,
    ("+", "timedelta", "timedelta"): TIMEDELTA,
    ("-", "timedelta", "timedelta"): TIMEDELTA,
}


def merged(left: Ty, right: Ty) -> Ty:
    """The type of a value that is of one type or the other."""
    if left == right:
        return left
    if NONE in (left, right):
        return (right if left == NONE else left).or_none()
    if left.name == right.name and left.model is right.model:
        item = left.item if left.item == right.item else None
        return Ty(left.name, left.model, item, left.optional or right.optional)
    return ANY


def arithmetic_type(symbol: str, left: Ty, right: Ty) -> Ty | None:
    """The type of ``left symbol right``, or ``None`` where the operator does not join the two."""
    pair = {left.name, right.name}
    if "any" in pair:
        return ANY
    if pair <= NUMERIC:
        return FLOAT if symbol == "/" or "float" in pair else INT
    if symbol == "+" and pair in ({"str"}, {"list"}):
        return Ty(left.name)
    return _TIMES.get((symbol, left.name, right.name))


def arithmetic(symbol: str) -> Binary:
    """What an arithmetic operator does: numbers, joining of texts or lists with ``+``, times and durations."""
    on_numbers = _NUMERIC[symbol]

    def compute(left: Any, right: Any) -> Any:
        if isinstance(left, int | float) and isinstance(right, int | float):
            _refuse_large(left, right)
            return on_numbers(left, right)
        if symbol in "+-" and isinstance(left, datetime | timedelta) and isinstance(right, datetime | timedelta):
            return on_numbers(left, right)
        if symbol == "+":
            return _joined(left, right)
        raise _cannot(symbol, left, right)

    return compute


def _joinable(left: Any, right: Any) -> bool:
    """Whether ``+`` makes one text or list of the two."""
    return any(isinstance(left, kind) and isinstance(right, kind) for kind in (str, list))


def _joined(left: Any, right: Any) -> Any:
    if not _joinable(left, right):
        raise _cannot("+", left, right)
    refuse_longer(len(left) + len(right))
    return left + right


def _refuse_large(*numbers: float) -> None:
    if any(abs(number) > LARGEST for number in numbers):
        raise UnfitValue("a number is too large to calculate with")


def _cannot(symbol: str, left: Any, right: Any) -> UnfitValue:
    return UnfitValue(f"{symbol} cannot join {kind_of(left)} and {kind_of(right)}")


def comparison_problem(op: str, left: Ty, right: Ty) -> str | None:
    """What is wrong with comparing the two types, if anything."""
    pair = {left.name, right.name}
    if op in ("in", "notin"):
        return _membership_problem(left, right)
    if op in ("eq", "ne") and "model" in pair and "none" not in pair:
        return "a state or object is asked with a test: state is failed, or by a field: flow.name"
    if op in ("eq", "ne") and pair == {"list"}:
        return "lists are not compared; ask for an item with 'in'"
    if pair & {"any", "none"} or pair <= NUMERIC or left.name == right.name:
        return f"{described(left)} has no order" if op in ORDERINGS and _unordered(pair) else None
    if op in ORDERINGS:
        return f"{described(left)} and {described(right)} have no order"
    return f"{described(left)} is never equal to {described(right)}"


def _unordered(pair: set[TypeName]) -> bool:
    return len(pair) == 1 and not pair.isdisjoint({"model", "dict", "none", "loop"})


def _membership_problem(left: Ty, right: Ty) -> str | None:
    if right.name not in ("list", "dict", "str", "any"):
        return f"nothing can be in {described(right)}"
    if right.name == "str" and left.name not in ("str", "any"):
        return f"{described(left)} cannot be in text"
    return None
