from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.duration import LONGEST, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("2d", timedelta(days=2)),
        ("250ms", timedelta(milliseconds=250)),
        ("1d2h3m4s5ms", timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)),
        ("0s", timedelta()),
    ],
)
def test_durations_are_numbers_with_units(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["", "10", "s", "10 s", "-1s", "1.5h", "1m1h", "1s1s", "1w", "1H", "1s\n", "¹s", "٣s"])
def test_other_texts_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as '90s'"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["3651d", "99999999999d", "9" * 5000 + "ms"])
def test_durations_end_at_ten_years(text: str) -> None:
    with pytest.raises(ValueError, match="longer than ten years"):
        parse_duration(text)


@given(st.integers(0, LONGEST // timedelta(milliseconds=1)))
def test_a_written_duration_reads_back(milliseconds: int) -> None:
    length = timedelta(milliseconds=milliseconds)

    assert parse_duration(format_duration(length)) == length
