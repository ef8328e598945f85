"""The table of template filters that ``when`` and templates share, and the filters that use other ones by name.

A filter is a pure function of a value and arguments. The filters that need the message's format
or the transition are in :mod:`gateway.rules.message_filters`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from gateway.rules import list_filters, text_filters, time_filters
from gateway.rules.list_filters import items_of
from gateway.rules.predicates import TESTS
from gateway.rules.schema import ANY, ANYTHING, DATETIME, FLOAT, INT, STR, STRINGS, Ty, TypeName
from gateway.rules.values import UnfitValue, look_up_path
from gateway.spelling import nearest

Shape = Literal["fixed", "element", "same", "default"]
"""How a filter's result type follows from its input: not at all, one of its items, like it, it or the argument."""

EVERYTHING: frozenset[TypeName] = frozenset(get_args(TypeName))
SCALARS: frozenset[TypeName] = frozenset({"str", "int", "float", "bool", "datetime", "timedelta"})
NUMBERS: frozenset[TypeName] = frozenset({"int", "float", "bool"})
DATA: frozenset[TypeName] = EVERYTHING - {"model", "loop"}
LISTS: frozenset[TypeName] = frozenset({"list", "dict"})
SIZED: frozenset[TypeName] = LISTS | {"str"}
TEXT_OR_PAIRS: frozenset[TypeName] = SCALARS | {"dict"}
TIMES: frozenset[TypeName] = frozenset({"datetime", "str"})
PATTERN_TESTS = frozenset({"search", "match"})
"""Tests that take a regular expression."""

MANY = 8
"""How many arguments a filter takes that hands them on to another filter or a test."""

DURATIONS: frozenset[TypeName] = frozenset({"timedelta", "int", "float"})


@dataclass(frozen=True, slots=True)
class Filter:
    """A template filter.

    Attributes:
        name: what it is called by.
        function: what it does: pure, called with the value and the arguments.
        result: the type it gives, where ``shape`` is ``"fixed"``.
        min_args: how many arguments it needs beside the value.
        max_args: how many it can take.
        doc: what it means, for the reference.
        takes: the types it can be given; untyped data and none are always tried.
        shape: how the result type follows from the input's.
        arguments: the names of its arguments, in order, for giving them by name.
        check: called with the literal arguments; raises ``UnfitValue`` for those that can never work.
    """

    name: str
    function: Callable[..., Any]
    result: Ty
    min_args: int
    max_args: int
    doc: str
    takes: frozenset[TypeName] = EVERYTHING
    shape: Shape = "fixed"
    arguments: tuple[str, ...] = ()
    check: Callable[..., None] | None = None

    def result_for(self, value: Ty, argument: Ty | None = None) -> Ty:
        """The type of the result for a value (and a first argument) of these types."""
        if self.shape == "same":
            return value if value.name == "list" else ANYTHING
        if self.shape == "element":
            return value.item or ANY
        if self.shape == "default":
            return value if argument is not None and argument.name == value.name else ANY
        return self.result


def filter_of(
    name: str,
    function: Callable[..., Any],
    result: Ty,
    takes: frozenset[TypeName] = EVERYTHING,
    *,
    shape: Shape = "fixed",
    check: Callable[..., None] | None = None,
    given: int = 1,
) -> Filter:
    """The filter made of ``function``: arguments by its signature, meaning by its docstring.

    ``given`` is the number of leading parameters that are not arguments (the value).
    """
    parameters = [*inspect.signature(function).parameters.values()][given:]
    named = [parameter for parameter in parameters if parameter.kind is not parameter.VAR_POSITIONAL]
    required = sum(parameter.default is parameter.empty for parameter in named)
    most = len(named) if named == parameters else MANY
    names = tuple(parameter.name for parameter in named)
    doc = inspect.cleandoc(function.__doc__ or "")
    return Filter(name, function, result, required, most, doc, takes, shape, names, check)


def check_test(name: object, *_: object) -> None:
    """Refuse the name of a test that does not exist or cannot be used by name."""
    if name not in TESTS:
        raise UnfitValue(_unknown("test", name, TESTS))
    if name in PATTERN_TESTS:
        raise UnfitValue(f"the test {name!r} works with `is` only, where its pattern is checked")


def check_test_of_key(_: object, name: object = "true", *__: object) -> None:
    """Refuse the name of a test that does not exist, given after the key it is for."""
    check_test(name)


def check_filter(name: object, *_: object) -> None:
    """Refuse the name of a filter that does not exist or cannot be used by name."""
    if name not in FILTERS or name in _BY_NAME:
        raise UnfitValue(_unknown("filter", name, FILTERS))


def mapped(value: object, *by: Any, attribute: str | int | None = None, default: Any = None) -> list[Any]:
    """A list made of the items: a filter applied to each, or with `attribute` that key of each.

    `{{ rows | map("upper") | join(", ") }}`, `{{ rows | map(attribute="name") | join(", ") }}`; with
    `default`, an item without the key gives that.
    """
    if any(isinstance(argument, list | dict) for argument in (default, *by)):
        raise UnfitValue("map takes plain values as arguments")
    if attribute is not None:
        found = [look_up_path(item, attribute) for item in items_of(value)]
        return found if default is None else [text_filters.default(item, default) for item in found]
    if not by:
        raise UnfitValue('map needs the name of a filter or attribute="…"')
    check_filter(by[0])
    return [FILTERS[by[0]].function(item, *by[1:]) for item in items_of(value)]


def select(value: object, *by: Any) -> list[Any]:
    """The items for which a test holds, or that are true: `{{ numbers | select("odd") | join(" ") }}`."""
    holds = _claim(by)
    return [item for item in items_of(value) if holds(item)]


def reject(value: object, *by: Any) -> list[Any]:
    """The items for which a test does not hold, or that are false."""
    holds = _claim(by)
    return [item for item in items_of(value) if not holds(item)]


def selectattr(value: object, attribute: str | int, *by: Any) -> list[Any]:
    """The items for whose key `attribute` a test holds: `{{ rows | selectattr("late", "gt", 3) | length }}`."""
    holds = _claim(by)
    return [item for item in items_of(value) if holds(look_up_path(item, attribute))]


def rejectattr(value: object, attribute: str | int, *by: Any) -> list[Any]:
    """The items for whose key `attribute` a test does not hold."""
    holds = _claim(by)
    return [item for item in items_of(value) if not holds(look_up_path(item, attribute))]


def _claim(by: tuple[Any, ...]) -> Callable[[Any], bool]:
    if not by:
        return bool
    check_test(by[0])
    test, arguments = TESTS[by[0]].function, by[1:]
    return lambda item: bool(test(item, *arguments))


def _unknown(what: str, name: object, known: Iterable[str]) -> str:
    hint = nearest(name, known) if isinstance(name, str) else None
    return f"no such {what}" + (f"; did you mean {hint!r}?" if hint else "")


_BY_NAME = frozenset({"map", "select", "reject", "selectattr", "rejectattr"})
"""These take a name themselves; by name they could be nested without end."""

FILTERS: dict[str, Filter] = {
    entry.name: entry
    for entry in (
        filter_of("lower", text_filters.lower, STR, SCALARS),
        filter_of("upper", text_filters.upper, STR, SCALARS),
        filter_of("title", text_filters.title, STR, SCALARS),
        filter_of("capitalize", text_filters.capitalize, STR, SCALARS),
        filter_of("trim", text_filters.trim, STR, SCALARS),
        filter_of("truncate", text_filters.truncate, STR, SCALARS),
        filter_of("replace", text_filters.replace, STR, SCALARS),
        filter_of("indent", text_filters.indent, STR, SCALARS),
        filter_of("lines", text_filters.lines, STRINGS, SCALARS),
        filter_of("split", text_filters.split, STRINGS, SCALARS),
        filter_of("striptags", text_filters.striptags, STR, SCALARS),
        filter_of("urlencode", text_filters.urlencode, STR, TEXT_OR_PAIRS),
        filter_of("escape", text_filters.escape, STR, SCALARS),
        filter_of("e", text_filters.escape, STR, SCALARS),
        filter_of("string", text_filters.string, STR, DATA),
        filter_of("tojson", text_filters.tojson, STR, DATA),
        filter_of("int", text_filters.to_int, INT, SCALARS),
        filter_of("float", text_filters.to_float, FLOAT, SCALARS),
        filter_of("round", text_filters.to_round, FLOAT, NUMBERS),
        filter_of("abs", text_filters.to_abs, FLOAT, NUMBERS),
        filter_of("default", text_filters.default, ANY, shape="default"),
        filter_of("d", text_filters.default, ANY, shape="default"),
        filter_of("filesizeformat", text_filters.filesizeformat, STR, NUMBERS),
        filter_of("plural", text_filters.plural, STR, NUMBERS | LISTS),
        filter_of("join", list_filters.join, STR, LISTS),
        filter_of("length", list_filters.length, INT, SIZED),
        filter_of("count", list_filters.length, INT, SIZED),
        filter_of("first", list_filters.first, ANY, SIZED, shape="element"),
        filter_of("last", list_filters.last, ANY, SIZED, shape="element"),
        filter_of("min", list_filters.minimum, ANY, SIZED, shape="element"),
        filter_of("max", list_filters.maximum, ANY, SIZED, shape="element"),
        filter_of("sum", list_filters.total, FLOAT, LISTS),
        filter_of("list", list_filters.to_list, ANYTHING, SIZED, shape="same"),
        filter_of("sort", list_filters.sort, ANYTHING, SIZED, shape="same"),
        filter_of("unique", list_filters.unique, ANYTHING, SIZED, shape="same"),
        filter_of("items", list_filters.items, ANYTHING, frozenset({"dict"})),
        filter_of("dictsort", list_filters.dictsort, ANYTHING, frozenset({"dict"})),
        filter_of("map", mapped, ANYTHING, SIZED, check=check_filter),
        filter_of("select", select, ANYTHING, SIZED, shape="same", check=check_test),
        filter_of("reject", reject, ANYTHING, SIZED, shape="same", check=check_test),
        filter_of("selectattr", selectattr, ANYTHING, LISTS, shape="same", check=check_test_of_key),
        filter_of("rejectattr", rejectattr, ANYTHING, LISTS, shape="same", check=check_test_of_key),
        filter_of("duration", time_filters.duration, STR, DURATIONS),
        filter_of("datetimeformat", time_filters.datetimeformat, STR, TIMES, check=time_filters.check_format),
        filter_of("localtime", time_filters.localtime, DATETIME, TIMES, check=time_filters.check_zone),
    )
}
"""Every filter by its name."""
