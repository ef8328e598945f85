"""Regular expressions: those that could run for ever are refused, ordinary ones are not."""

from __future__ import annotations

import time

import pytest

from gateway.rules import regex
from gateway.rules.regex import HIGHEST_DEGREE, PatternError, compile_pattern, degree

TAME = [
    r"timeout after \d+s",
    r"^step \w+ failed",
    r"(?i)TIMEOUT",
    r"code=(57014|57P0[1-3]|08006)$",
    r"host=[\w.]+\.internal",
    r"\s+$",
    r"^.*error.*$",
    r"(ab)*c",
    r"x{1,1000}y",
    r"(?>.*?foo).*bar",
    r"(\d{1,3}\.){3}\d{1,3}",
    r"a?b?c?d",
]
WILD = [
    r"^(a+)+$",
    r"(a|aa)+$",
    r"(\w+\s?)+$",
    r"(.*),(.*),(.*);$",
    r"(.*)foo(.*)bar",
    r"(a)\1",
    r"(?:a{0,30}){0,30}b",
    r"(a?){25}a{25}",
    r"(.+){2,8}x",
    r"(a|b|ab)*c",
    r"(?:\w{1,20}){6}z",
    r"(x+x+)+y",
    r"([a-z]*)*1",
]


@pytest.mark.parametrize("pattern", TAME)
def test_an_ordinary_pattern_is_accepted(pattern: str) -> None:
    assert degree(pattern) <= HIGHEST_DEGREE


@pytest.mark.parametrize("pattern", WILD)
def test_a_pattern_that_could_explode_is_refused(pattern: str) -> None:
    assert degree(pattern) > HIGHEST_DEGREE


@pytest.mark.parametrize("engine", ["python", "re2"])
def test_both_engines_search_and_match(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine == "re2":
        pytest.importorskip("re2")
    else:
        monkeypatch.setattr(regex, "re2", None)
    pattern = compile_pattern(r"\d+s")

    assert pattern.search("after 30s")
    assert not pattern.match("after 30s")
    assert pattern.match("30s after")
    with pytest.raises(PatternError, match="not a regular expression"):
        compile_pattern("(")


def test_a_wild_pattern_is_refused_without_re2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regex, "re2", None)

    with pytest.raises(PatternError, match="very long time"):
        compile_pattern("(a+)+$")


@pytest.mark.parametrize("engine", ["python", "re2"])
def test_no_text_makes_a_search_raise(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine == "re2":
        pytest.importorskip("re2")
    else:
        monkeypatch.setattr(regex, "re2", None)
    pattern = compile_pattern("ü.b")

    for text in ("", "\udc80", "\x00", "aü\udc80b", "x" * 100_000):
        pattern.search(text)
        pattern.match(text)
    assert pattern.search("aüxb")


def test_a_pattern_python_will_read_otherwise_one_day_is_refused_without_re2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regex, "re2", None)

    with pytest.raises(PatternError, match="nested set"):
        compile_pattern("[[a]")


def test_re2_says_what_is_wrong_with_a_pattern() -> None:
    pytest.importorskip("re2")

    with pytest.raises(PatternError, match=r"invalid perl operator: \(\?="):
        compile_pattern("(?=x)")


def test_a_tame_pattern_is_quick_on_texts_made_to_slow_it_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regex, "re2", None)
    texts = ["a" * 5_000, " " * 5_000 + "x", "a " * 2_500, "," * 5_000, "foo" * 2_000, "1" * 5_000, "ab" * 2_500]

    for pattern in map(compile_pattern, TAME):
        for text in texts:
            started = time.process_time()
            pattern.search(text)
            assert time.process_time() - started < 0.5
