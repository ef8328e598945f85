from __future__ import annotations

import time

import pytest

from gateway.config.document import Documents, parse_document
from gateway.config.source import SourceFile


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = True", "a.toml:1:5: true and false are written in small letters (did you mean 'true'?)"),
        ("a = none", "a.toml:1:5: there is no null: leave the key out"),
        ("a = text", "a.toml:1:5: not a value: text must stand in quotes"),
        ("a =\n", "a.toml:1:4: the value is missing"),
        ("a: 1", "a.toml:1:2: key and value are joined by '=', not by ':'"),
        ("a\n", "a.toml:1:2: expected '=' and a value after the key"),
        (r'a = "\d"', r"""a.toml:1:8: '\' starts an escape in double quotes: write the text in single quotes, """),
        ('a = "x\nb = 1', "a.toml:1:5: the text is not closed: its quote is missing"),
        ("a = 'x\nb = 1", "a.toml:1:5: the text is not closed: its quote is missing"),
        ("a = '''x\n\n", "a.toml:1:5: the text is not closed: its quote is missing"),
        ("a = [1\nb = 2", "a.toml:2:1: the list is not closed: a ',' or ']' is missing"),
        ("a = { b = 1,\n}", "a.toml:1:13: "),
        ("""a = "say "hi" now" """, "a.toml:1:11: the line should end here"),
        ("[a]\nb = 1\n[a]", "a.toml:3:2: a: stands twice, first on line 1"),
        ("a = 1\na = '''\n'''", "a.toml:2:1: a: stands twice, first on line 1"),
        ("a = { b = 1, b = 2 }", "a.toml:1:14: a.b: stands twice, first on line 1"),
        ("a = {}\n[a.b]", "a.toml:2:5: cannot"),
        ("a = " + "9" * 5000, "a.toml:1:1: a number has too many digits"),
        ("a = " + "[" * 100_000, "a.toml:1:1: lists or tables are nested too deeply"),
        ("b = 1\n" + "a." * 100_000 + "a = 1", "a.toml:2:1: a key has more than 64 parts joined by dots"),
        ("x = { " + "'a' . " * 100_000 + "a = 1}", "a.toml:1:7: a key has more than 64 parts joined by dots"),
        ("[a", "a.toml:1:3: expected ']' at the end of a table declaration"),
        ("a = \x00", "a.toml:1:5: "),
    ],
)
def test_broken_toml_is_told_with_place_and_remedy_within_a_moment(text: str, problem: str) -> None:
    start = time.monotonic()

    document = parse_document(SourceFile("a.toml", text))

    assert str(document.problem)[: len(problem)] == problem
    assert document.tables == {}
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "line", ["url = slack://hunter2", 'url = "slack://hunter2', "url = 'slack://hunter2\n", "url: hunter2"]
)
def test_a_broken_line_is_not_repeated_since_it_may_hold_a_secret(line: str) -> None:
    problem = parse_document(SourceFile("a.toml", line)).problem

    assert problem is not None
    assert "hunter2" not in repr(problem)


def test_a_key_may_have_64_parts_and_no_more() -> None:
    def problem(parts: int) -> object:
        return parse_document(SourceFile("a.toml", ".".join("a" * parts) + " = 1")).problem

    assert problem(64) is None
    assert problem(65) is not None


def test_prose_with_many_dots_is_not_taken_for_a_key() -> None:
    text = "a = '" + "One sentence. And another... " * 100 + "'"

    assert parse_document(SourceFile("a.toml", text)).problem is None


def test_a_file_is_parsed_again_only_when_its_text_changes() -> None:
    documents = Documents()
    first = documents.read("a.toml", "a = 1")

    assert documents.read("a.toml", "a = 1") is first
    assert documents.read("a.toml", "a = 2").tables == {"a": 2}


def test_files_that_went_away_are_forgotten() -> None:
    documents = Documents()
    kept, gone = documents.read("a.toml", "a = 1"), documents.read("b.toml", "b = 1")

    documents.keep(["a.toml", "c.toml"])

    assert documents.read("a.toml", "a = 1") is kept
    assert documents.read("b.toml", "b = 1") is not gone
