from __future__ import annotations

import tomllib
from datetime import date, datetime, time
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.config.outline import KeyPath, Lines, offset_inside, outline

NAMES = st.one_of(st.sampled_from(["a", "b", "url", "on-call", "0", "_"]), st.text(max_size=3))
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False),
    st.datetimes(),
    st.dates(date(1900, 1, 1)),
    st.times(),
    st.text(max_size=12),
    st.text("ab'\"\\\n# ]}=.", max_size=12),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
)
TABLES = st.dictionaries(NAMES, VALUES, max_size=5)
GAPS = st.sampled_from(["", " ", "\t ", "  "])
BREAKS = st.sampled_from(["", " ", "\n", " # a [comment] = \"x'\n", "\n\n  "])
ENDINGS = st.sampled_from(["\n", " \n", "\t# key = 1\n", "\n\n", "\n# [no.table]\n"])


class Writer:
    """Writes a table as TOML, drawing one of the many ways for every part of it."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw

    def table(self, table: dict[str, Any], header: str = "") -> str:
        pairs, tables = "", ""
        for name, value in table.items():
            key = self.key(name)
            full = f"{header}.{key}" if header else key
            if isinstance(value, dict) and self.flip():
                tables += f"[{self.gap()}{full}{self.gap()}]{self.draw(ENDINGS)}{self.table(value, full)}"
            elif self.is_list_of_tables(value) and self.flip():
                for element in value:
                    tables += f"[[{full}]]{self.draw(ENDINGS)}{self.table(element, full)}"
            elif isinstance(value, dict) and value and self.flip():
                for inner, item in value.items():
                    dotted = f"{key}{self.gap()}.{self.gap()}{self.key(inner)}"
                    pairs += f"{dotted}{self.gap()}={self.gap()}{self.value(item)}{self.draw(ENDINGS)}"
            else:
                pairs += f"{self.gap()}{key} = {self.value(value)}{self.draw(ENDINGS)}"
        return pairs + tables

    def is_list_of_tables(self, value: Any) -> bool:
        return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)

    def value(self, value: Any) -> str:
        match value:
            case bool():
                return str(value).lower()
            case datetime():
                return value.isoformat(self.draw(st.sampled_from(["T", " "])))
            case date() | time():
                return value.isoformat()
            case str():
                return self.text(value)
            case list():
                parts = [f"{self.draw(BREAKS)}{self.value(item)}{self.draw(BREAKS)}" for item in value]
                return f"[{','.join(parts)}{',' if parts and self.flip() else ''}{self.draw(BREAKS)}]"
            case dict():
                pairs = [f"{self.gap()}{self.key(key)} = {self.value(item)}{self.gap()}" for key, item in value.items()]
                return f"{{{','.join(pairs)}}}"
        return repr(value)

    def text(self, text: str) -> str:
        kinds = [self.basic, self.lines]
        if "'" not in text and text.isprintable():
            kinds.append(lambda text: f"'{text}'")
        if "'''" not in text and text.replace("\n", "").isprintable():
            kinds.append(lambda text: f"'''\n{text}'''")
        return self.draw(st.sampled_from(kinds))(text)

    def basic(self, text: str) -> str:
        return f'"{"".join(map(self.escaped, text))}"'

    def lines(self, text: str) -> str:
        body = "".join(
            character
            if character in "\n'#"
            else self.escaped(character) + self.draw(st.sampled_from(["", "", "\\\n  "]))
            for character in text
        )
        return f'"""{self.draw(st.sampled_from(["", chr(10)]))}{body}"""'

    def escaped(self, character: str) -> str:
        short = {"\n": r"\n", "\t": r"\t", '"': r"\"", "\\": r"\\"}
        if character in short and self.flip():
            return short[character]
        if character in short or not character.isprintable() or self.draw(st.integers(0, 9)) == 0:
            return f"\\U{ord(character):08x}"
        return character

    def key(self, name: str) -> str:
        plain = bool(name) and all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in name)
        return name if plain and self.flip() else self.basic(name)

    def gap(self) -> str:
        return self.draw(GAPS)

    def flip(self) -> bool:
        return self.draw(st.booleans())


@st.composite
def documents(draw: Any) -> tuple[str, dict[str, Any]]:
    """A valid TOML text, and what ``tomllib`` reads from it."""
    text = Writer(draw).table(draw(TABLES))
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        # One name written in two ways by chance, or a lone surrogate.
        assume(False)
        raise


def entries(value: Any, path: KeyPath = ()) -> list[tuple[KeyPath, Any]]:
    """Every path below ``value``, with what is there."""
    if isinstance(value, dict):
        children: list[tuple[str | int, Any]] = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    else:
        children = []
    return [found for part, child in children for found in [((*path, part), child), *entries(child, (*path, part))]]


@given(documents())
def test_every_key_and_value_of_a_document_is_found_and_nothing_else(document: tuple[str, dict[str, Any]]) -> None:
    text, data = document

    found = outline(text)

    assert set(found.spans) == {path for path, _ in entries(data)}
    assert found.repeated == []
    assert found.lost_at is None


@given(documents())
def test_the_text_at_a_value_reads_as_that_value(document: tuple[str, dict[str, Any]]) -> None:
    text, data = document

    spans = outline(text).spans

    for path, value in entries(data):
        literal = text[spans[path].start : spans[path].end]
        if not isinstance(value, dict | list) or literal.startswith("{"):
            assert tomllib.loads(f"x = {literal}") == {"x": value}


@given(documents())
def test_the_text_at_a_key_starts_with_that_key(document: tuple[str, dict[str, Any]]) -> None:
    text, data = document

    spans = outline(text).spans

    for path, _ in entries(data):
        rest = text[spans[path].key :]
        if isinstance(path[-1], str):
            end = min(at for at in (rest.find(mark, at_least(rest)) for mark in ".=] \t") if at > 0)
            assert tomllib.loads(f"{rest[:end]} = 0") == {path[-1]: 0}


def at_least(text: str) -> int:
    """Past the closing quote of a key in quotes."""
    if not text.startswith('"'):
        return 0
    at = 1
    while text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    return at + 1


@given(documents(), st.data())
def test_a_place_in_a_text_is_found_where_it_is_written(
    document: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    text, tables = document
    texts = [(path, value) for path, value in entries(tables) if isinstance(value, str)]
    assume(texts)
    path, value = data.draw(st.sampled_from(texts))
    at = data.draw(st.integers(0, len(value)))
    span = outline(text).spans[path]
    literal = text[span.start : span.end]

    offset = offset_inside(literal, value.count("\n", 0, at) + 1, at - value.rfind("\n", 0, at))

    quote = literal[:3] if literal[:3] in ('"""', "'''") else literal[0]
    assert tomllib.loads(f"x = {literal[:offset]}{quote}") == {"x": value[:at]}


@pytest.mark.parametrize(
    ("literal", "line", "column", "expected"),
    [
        ("'abc'", 1, 1, "abc'"),
        ("'abc'", 1, 3, "c'"),
        ("'abc'", 1, 99, "'"),
        ("'abc'", 99, 1, "abc'"),
        (r'"a\tbc"', 1, 3, 'bc"'),
        (r'"a\nbc"', 2, 2, 'c"'),
        (r'"a\u000abc"', 2, 1, 'bc"'),
        ('"""\nab\ncd"""', 1, 1, 'ab\ncd"""'),
        ('"""\nab\ncd"""', 1, 9, '\ncd"""'),
        ('"""\nab\ncd"""', 2, 2, 'd"""'),
        ('"""a\\\n   b"""', 1, 2, 'b"""'),
        ("'''\n\nab'''", 2, 1, "ab'''"),
        ('""', 1, 1, '"'),
    ],
)
def test_places_in_each_kind_of_text(literal: str, line: int, column: int, expected: str) -> None:
    assert literal[offset_inside(literal, line, column) :] == expected


@pytest.mark.parametrize(
    ("text", "path", "second"),
    [
        ("a = 1\nb = 2\na = 3\n", ("a",), "a = 3\n"),
        ("[a]\n[b]\n[a]\n", ("a",), "a]\n"),
        ("x = { a = 1, a = 2 }\n", ("x", "a"), "a = 2 }\n"),
        ("a.b = 1\na.'b' = 2\n", ("a", "b"), "'b' = 2\n"),
    ],
)
def test_a_repeated_key_is_noted(text: str, path: KeyPath, second: str) -> None:
    (repeated,) = outline(text).repeated

    assert repeated == (path, text.rindex(second))


@pytest.mark.parametrize("text", ["a = 1\nb = \nc", "a = 1\nb : 2", "a = 1\n[", "a = 1\nb = [1 2]", 'a = 1\n"\\x" = 1'])
def test_a_text_that_is_not_toml_is_outlined_as_far_as_it_goes(text: str) -> None:
    assert ("a",) in outline(text).spans


def test_tables_below_an_element_of_a_list_belong_to_that_element() -> None:
    text = "[[handler]]\n[handler.tags]\n[[handler]]\n[handler.tags]\nany = 1\n"

    spans = outline(text).spans

    assert text[spans["handler", 1, "tags", "any"].start :] == "1\n"
    assert ("handler", 0, "tags", "any") not in spans


def test_lines_and_columns_count_from_one() -> None:
    lines = Lines("ab\n\ncd")

    assert [lines.place(offset) for offset in range(7)] == [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (3, 2), (3, 3)]
