"""Every template filter: what it does, that the stock ones do what jinja2's do, and that none can fill the memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jinja2
import pytest
from jinja2 import Undefined

from gateway.rules.filters import FILTERS, Filter
from gateway.rules.message_filters import MESSAGE_FILTERS, TEMPLATE_FILTERS
from gateway.rules.schema import INT, STR, STRINGS, Ty
from gateway.rules.values import MAX_LENGTH, Missing, UnfitValue, missing_key

AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
ROWS = [{"id": 2, "name": "b", "late": 9}, {"id": 1, "name": "A", "late": 1}, {"id": 3, "name": "b", "late": 4}]


def apply(name: str, value: object, *arguments: object, **named: object) -> Any:
    return FILTERS[name].function(value, *arguments, **named)


STOCK: list[tuple[Any, ...]] = [
    ("lower", "MiXed"),
    ("upper", "straße"),
    ("title", "two words-here (and) THERE"),
    ("capitalize", "one TWO"),
    ("trim", "  x  "),
    ("trim", "--x-", "-"),
    ("truncate", "a short one"),
    ("truncate", "word " * 100),
    ("truncate", "foo bar baz qux", 9),
    ("truncate", "foo bar baz qux", 9, True),
    ("truncate", "foo bar baz qux", 11),
    ("truncate", "foo bar baz qux", 11, False, "…", 0),
    ("replace", "a-b-c", "-", "+"),
    ("replace", "a-b-c", "-", "+", 1),
    ("indent", "one\ntwo\n\nthree"),
    ("indent", "one\ntwo\n\nthree", 2, True, True),
    ("indent", "one\ntwo", "> "),
    ("indent", "one\n"),
    ("join", ["a", 1, 2.5], ", "),
    ("join", []),
    ("length", "abc"),
    ("count", {"a": 1}),
    ("int", "42"),
    ("int", "4.7"),
    ("int", "nonsense", 7),
    ("int", "0x1f", 0, 16),
    ("int", 3.9),
    ("float", "2.5"),
    ("float", "nonsense", 1.5),
    ("round", 2.345, 2),
    ("round", 2.5),
    ("round", 2.1, 0, "ceil"),
    ("round", 2.19, 1, "floor"),
    ("round", 1234, -2),
    ("abs", -3),
    ("default", "x", "y"),
    ("default", "", "y"),
    ("default", "", "y", True),
    ("d", None, "y"),
    ("first", [3, 1]),
    ("last", [3, 1]),
    ("list", "abc"),
    ("sort", ["b", "A", "c"]),
    ("sort", ["b", "A", "c"], True, True),
    ("unique", ["b", "a", "B", "a"]),
    ("unique", ["b", "a", "B", "a"], True),
    ("sum", [1, 2.5]),
    ("sum", [], None, 4),
    ("min", [3, 1, 2]),
    ("max", ["a", "B"]),
    ("dictsort", {"b": 1, "A": 2}),
    ("dictsort", {"b": 1, "A": 2}, True, "value", True),
    ("striptags", "<p>one <b>two</b>\n  three</p>"),
    ("urlencode", "a b/ü?&"),
    ("urlencode", {"a b": "c&d", "e": 1}),
    ("filesizeformat", 1),
    ("filesizeformat", 999),
    ("filesizeformat", 13_000),
    ("filesizeformat", 4_100_000),
    ("filesizeformat", 13_000, True),
    ("filesizeformat", 10**25),
]


@pytest.mark.parametrize(("name", "value", "arguments"), [(name, value, rest) for name, value, *rest in STOCK])
def test_a_stock_filter_does_what_jinja2_s_does(name: str, value: object, arguments: list[object]) -> None:
    environment = jinja2.Environment()
    expected = environment.call_filter(name, value, arguments, context=environment.from_string("").new_context())
    expected = [list(pair) for pair in expected] if name == "dictsort" else expected
    expected = list(expected) if name == "unique" else expected

    assert apply(name, value, *arguments) == expected


@pytest.mark.parametrize(
    ("name", "value", "arguments", "result"),
    [
        ("lines", "one\r\ntwo\n", [], ["one", "two"]),
        ("split", "a, b", [", "], ["a", "b"]),
        ("split", " two  words ", [], ["two", "words"]),
        ("escape", "<b> & 'q'", [], "&lt;b&gt; &amp; &#x27;q&#x27;"),
        ("string", timedelta(hours=2), [], "2h"),
        ("tojson", {"a": AT}, [], '{"a": "2026-03-29 01:30:00 UTC"}'),
        ("tojson", {"a": 1}, [2], '{\n  "a": 1\n}'),
        ("items", {"a": 1}, [], [["a", 1]]),
        ("plural", 1, [], ""),
        ("plural", 0, [], "s"),
        ("plural", [1, 2], ["retry", "retries"], "retries"),
        ("sort", ROWS, [False, False, "name,late"], [ROWS[1], ROWS[2], ROWS[0]]),
        ("unique", ROWS, [False, "name"], ROWS[:2]),
        ("sum", ROWS, ["late"], 14),
        ("max", ROWS, [False, "late"], ROWS[0]),
        ("min", ROWS, [False, "late"], ROWS[1]),
        ("join", ROWS, ["+", "id"], "2+1+3"),
        ("map", ["a", "b"], ["upper"], ["A", "B"]),
        ("map", ["a-b"], ["replace", "-", "+"], ["a+b"]),
        ("select", [1, 2, 3], ["odd"], [1, 3]),
        ("select", [0, "", 1], [], [1]),
        ("reject", [1, 2, 3], ["gt", 1], [1]),
        ("selectattr", ROWS, ["late", "gt", 3], [ROWS[0], ROWS[2]]),
        ("selectattr", [{"a": 1}, {}], ["a"], [{"a": 1}]),
        ("selectattr", [{"a": 1}, {}], ["a", "undefined"], [{}]),
        ("rejectattr", ROWS, ["name", "eq", "b"], [ROWS[1]]),
        ("duration", 5400, [], "1h 30m"),
        ("duration", timedelta(milliseconds=350), [], "350 ms"),
        ("duration", None, [], None),
        ("datetimeformat", AT, ["%d %b, %H:%M"], "29 Mar, 01:30"),
        ("datetimeformat", AT, [], "2026-03-29 01:30:00 UTC"),
        ("datetimeformat", "2026-03-29T01:30:00+02:00", ["%H:%M %z"], "01:30 +0200"),
        ("datetimeformat", "2026-03-29", ["%Y %Z"], "2026 UTC"),
        ("datetimeformat", None, [], None),
    ],
)
def test_what_a_filter_does(name: str, value: object, arguments: list[object], result: object) -> None:
    assert apply(name, value, *arguments) == result


def test_a_key_of_each_item_can_be_taken_with_a_default_for_those_without() -> None:
    assert apply("map", ROWS, attribute="id") == [2, 1, 3]
    assert apply("map", [{"a": 1}, {}], attribute="a", default=0) == [1, 0]


def test_a_time_can_be_shown_in_another_zone() -> None:
    assert str(apply("localtime", AT, "Europe/Paris")) == "2026-03-29 03:30:00+02:00"
    assert apply("localtime", None, "Europe/Paris") is None


@pytest.mark.parametrize("name", ["first", "last", "min", "max"])
def test_there_is_no_item_in_an_empty_list(name: str) -> None:
    assert isinstance(apply(name, []), Missing)


def test_a_default_stands_in_for_what_is_missing() -> None:
    assert apply("default", missing_key("x"), "there") == "there"
    assert apply("default", Undefined(), "there") == "there"


@pytest.mark.parametrize(
    ("name", "value", "arguments"),
    [
        ("replace", "a" * 300, ["a", "b" * 300]),
        ("indent", "\n" * 60_000, [4]),
        ("indent", "x", [10**9]),
        ("indent", "x\ny", [" " * MAX_LENGTH]),
        ("join", ["x" * 10_000] * 10, [""]),
        ("join", ["x"] * 1_000, ["y" * 1_000]),
        ("urlencode", "ü" * 30_000, []),
        ("escape", "&" * 30_000, []),
        ("tojson", ["x" * 10_000] * 10, []),
        ("tojson", [1], [10**9]),
        ("round", 1.5, [10**9]),
        ("truncate", "x", [1, False, "y" * 10]),
        ("list", "x" * (MAX_LENGTH + 1), []),
        ("datetimeformat", AT, ["%9999999Y"]),
        ("datetimeformat", AT, ["%-9d"]),
        ("localtime", AT, ["../../etc/passwd"]),
        ("localtime", AT, ["Mars/Olympus"]),
        ("localtime", AT, [3]),
        ("duration", 1e300, []),
        ("duration", "an hour", []),
        ("sum", ["a"], []),
        ("sum", [[1], [2]], []),
        ("sum", [1], [None, [2]]),
        ("map", ["a"], ["map", "upper"]),
        ("map", ["a"], ["uper"]),
        ("map", [0, 0], ["default", ["x"], True]),
        ("map", ["a"], []),
        ("select", ["a"], ["upppercase"]),
        ("select", ["a"], ["search", "(a+)+$"]),
        ("dictsort", {}, [False, "colour"]),
        ("items", ["a"], []),
        ("join", 3, []),
        ("abs", "3", []),
    ],
)
def test_a_filter_refuses_what_does_not_fit_or_would_grow_too_large(
    name: str, value: object, arguments: list[object]
) -> None:
    with pytest.raises(UnfitValue):
        apply(name, value, *arguments)


def test_errors_of_filters_do_not_hold_the_value() -> None:
    secret = "hunter2"

    for name in ("duration", "round", "items", "datetimeformat"):
        with pytest.raises(UnfitValue) as caught:
            apply(name, secret)
        assert secret not in str(caught.value)


@pytest.mark.parametrize("entry", TEMPLATE_FILTERS.values(), ids=lambda entry: entry.name)
def test_a_filter_is_documented_and_knows_its_arguments(entry: Filter) -> None:
    assert entry.doc and entry.doc.endswith((".", "`."))
    assert 0 <= entry.min_args <= entry.max_args
    assert "value" not in entry.arguments


def test_arguments_follow_from_the_function() -> None:
    assert (FILTERS["replace"].min_args, FILTERS["replace"].max_args) == (2, 3)
    assert FILTERS["replace"].arguments == ("old", "new", "count")
    assert (FILTERS["selectattr"].min_args, FILTERS["map"].min_args) == (1, 0)
    assert MESSAGE_FILTERS["relative"].arguments == ("to",)


def test_the_type_of_a_result_can_follow_from_the_value() -> None:
    numbers = Ty("list", item=INT)

    assert FILTERS["first"].result_for(numbers) == INT
    assert FILTERS["sort"].result_for(STRINGS) == STRINGS
    assert FILTERS["default"].result_for(STR, STR) == STR
    assert FILTERS["default"].result_for(STR, INT).name == "any"
    assert FILTERS["length"].result_for(STRINGS) == INT
