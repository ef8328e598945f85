from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.config.rate import Rate, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [("30/1m", Rate(30, timedelta(minutes=1))), ("1 / 2s", Rate(1, timedelta(seconds=2)))],
)
def test_a_rate_is_a_count_per_duration(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate
    assert parse_rate(str(rate)) == rate


@pytest.mark.parametrize("text", ["", "30", "30/m", "0/1m", "30/0s", "-1/1m", "1.5/1m", "30/1", "30/1m/2", "30/1m\n"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        parse_rate(text)
