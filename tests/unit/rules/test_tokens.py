"""The tokens of expressions: those jinja2's own lexer finds."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import Environment, TemplateSyntaxError

from gateway.rules.tokens import conjuncts, tokens


def found(stream: Any) -> list[tuple[int, str, object]]:
    return [(int(token.lineno), token.type, token.value) for token in stream]


@pytest.mark.parametrize(
    "text",
    [
        "state is failed and flow.name == 'etl'",
        "a1_b != \"it's\" ~ '\"'",
        "1 < 2.5 <= 1_000 or 3e2 >= 1.5E-3",
        "x.y[0]|default('', true)  // z ** 2 % 7",
        "a\n  and b\n  or 'two\nlines' in c",
        "not (a is in [1, 2,]) and {} ; : - + *",
        "é == 'ü'",
    ],
)
def test_tokens_are_those_of_jinja2(text: str) -> None:
    stock = Environment().lexer.tokenize(text, state="variable")

    assert found(tokens(text)) == found(stock)


def test_expressions_at_random_have_the_tokens_of_jinja2(generator: Any) -> None:
    source, lexer = generator(7), Environment().lexer

    for _ in range(300):
        text = source.expression()
        assert found(tokens(text)) == found(lexer.tokenize(text, state="variable"))


def test_every_token_knows_its_column() -> None:
    places = [(int(token.lineno), token.lineno.column, token.value) for token in tokens("ab  ==\n 'c'\n   or d")]

    assert places == [(1, 1, "ab"), (1, 5, "=="), (2, 2, "c"), (3, 4, "or"), (3, 7, "d")]


@pytest.mark.parametrize(
    ("text", "value"),
    [(r"'\d\b'", r"\d\b"), (r"'a\'b'", "a'b"), (r"'a\\b'", r"a\b"), (r"'a\nb\t'", "a\nb\t"), ('"a\'b"', "a'b")],
)
def test_a_backslash_in_a_text_is_itself_unless_it_escapes(text: str, value: str) -> None:
    assert [token.value for token in tokens(text)] == [value]


@pytest.mark.parametrize(
    ("text", "message"),
    [("a $ b", "unexpected '$'"), ("a == 'b", "closing quote"), ("'a' 'b'", "two texts in a row"), ("a ! b", "'!'")],
)
def test_what_is_no_token_is_refused(text: str, message: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=message.replace("$", r"\$")):
        list(tokens(text))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a and b", ["a", "b"]),
        ("a and (b and c) and d[e and f]", ["a", "(b and c)", "d[e and f]"]),
        ("'x and y' == a\n and not b", ["'x and y' == a", "not b"]),
        ("x.and and y", ["x.and", "y"]),
        ("a", ["a"]),
    ],
)
def test_an_expression_is_cut_at_its_outermost_and(text: str, parts: list[str]) -> None:
    assert conjuncts(text) == parts
