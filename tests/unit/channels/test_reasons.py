"""The closed set of reasons."""

from __future__ import annotations

import re

import pytest

from gateway.channels.reasons import REASONS, http_reason, smtp_reason


@pytest.mark.parametrize("word", REASONS)
def test_a_reason_is_a_word_fit_for_a_label_and_explained(word: str) -> None:
    assert re.fullmatch(r"[a-z0-9_]{2,24}", word)
    assert REASONS[word]


def test_odd_codes_share_one_reason() -> None:
    assert http_reason(503) == "http_503"
    assert http_reason(799) == "http_other"
    assert smtp_reason(550) == "smtp_550"
    assert smtp_reason(599) == "smtp_other"
