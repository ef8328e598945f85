"""How values are read and written: durations, text, JSON, keys; what is missing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from jinja2 import UndefinedError

from gateway.rules.values import (
    ABSENT,
    MAX_LENGTH,
    MissingKey,
    UnfitValue,
    as_json,
    as_text,
    bounded,
    duration_text,
    kind_of,
    look_up,
    look_up_path,
    missing_key,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.00035, "0 ms"),
        (0.35, "350 ms"),
        (0.9996, "1s"),
        (1, "1s"),
        (1.5, "1.5s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.7, "1m"),
        (61, "1m 1s"),
        (5400, "1h 30m"),
        (3600, "1h"),
        (3601, "1h"),
        (90_061, "1d 1h"),
        (172_800, "2d"),
        (-300, "-5m"),
        (-0.2, "-200 ms"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (None, ""),
        (True, "True"),
        (3, "3"),
        (2.5, "2.5"),
        (datetime(2026, 3, 29, 1, 30, tzinfo=UTC), "2026-03-29 01:30:00 UTC"),
        (datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Paris")), "2026-07-01 12:00:00 CEST"),
        (datetime(2026, 3, 29, 1, 30), "2026-03-29 01:30:00"),  # noqa: DTZ001 - data may have no zone
        (date(2026, 3, 29), "2026-03-29"),
        (timedelta(minutes=90), "1h 30m"),
        ({"a": [1, None, "é"]}, '{"a": [1, null, "é"]}'),
        ([timedelta(seconds=3)], '["3s"]'),
    ],
)
def test_a_value_is_written_as_people_read_it(value: object, text: str) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize("value", [object(), as_text, b"bytes", {1, 2}, [object()]])
def test_what_is_not_data_cannot_be_written(value: object) -> None:
    with pytest.raises(UnfitValue, match="cannot be shown"):
        as_text(value)


@pytest.mark.parametrize("value", [10**5000, "x" * 70_000, [["x" * 1000] * 10] * 10], ids=["number", "text", "list"])
def test_nothing_written_is_longer_than_the_limit(value: object) -> None:
    with pytest.raises(UnfitValue):
        bounded(as_text(value))


def test_json_stops_at_the_limit_and_not_after_walking_everything() -> None:
    doubling: list[Any] = ["x"]
    for _ in range(60):  # 2 ** 60 items if it were walked to the end
        doubling = [doubling, doubling]

    with pytest.raises(UnfitValue, match=f"{MAX_LENGTH:,}"):
        as_json(doubling)


@pytest.mark.parametrize(
    ("value", "key", "found"),
    [
        ({"a": 1}, "a", 1),
        ({"items": 1}, "items", 1),
        ({"a": 1}, "b", ABSENT),
        ({"a": 1}, ["a"], ABSENT),
        ([1, 2], 1, 2),
        ([1, 2], -1, 2),
        ([1, 2], 2, ABSENT),
        ([1, 2], "append", ABSENT),
        ("abc", 0, "a"),
        ("abc", "upper", ABSENT),
        (object(), "__class__", ABSENT),
        (None, "x", ABSENT),
    ],
)
def test_items_are_looked_up_by_key_and_never_by_attribute(value: object, key: object, found: object) -> None:
    assert look_up(value, key) == found


def test_a_path_goes_through_mappings_and_lists() -> None:
    assert look_up_path({"rows": [{"id": 7}]}, "rows.0.id") == 7
    assert not look_up_path({"rows": []}, "rows.0.id")


def test_what_is_missing_is_false_and_equal_to_nothing_and_cannot_be_used() -> None:
    missing: Any = missing_key("state.result.flag")

    assert not missing
    assert missing != "" and missing is not None
    assert "x" not in missing
    for use in (str, list, len, lambda value: value + 1, lambda value: value < 1, lambda value: value.upper):
        with pytest.raises(MissingKey, match=r"state\.result\.flag is missing"):
            use(missing)


def test_words_for_kinds_of_values() -> None:
    assert [kind_of(value) for value in (None, True, 1, "x", [], {})] == [
        "none",
        "true or false",
        "a number",
        "text",
        "a list",
        "a mapping",
    ]
    with pytest.raises(UndefinedError):
        kind_of(missing_key("x"))
