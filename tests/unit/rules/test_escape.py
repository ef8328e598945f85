"""Data stays data in every format: tables of what is neutralised, and random text read by real Markdown engines."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from apprise.conversion.format import markdown_to_html
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from gateway.format import Format
from gateway.rules.escape import ESCAPES, INVISIBLE, clean, markdown_text, one_line, plain_text

FORMATS: list[Format] = ["text", "markdown", "html"]


def shown(text: str) -> str:
    """With a visible mark for the invisible one."""
    return text.replace(INVISIBLE, "·")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words, 3 of 4", "plain words, 3 of 4"),
        ("tab\tand\nnewline", "tab\tand\nnewline"),
        ("one\r\ntwo\rthree\u2028four\x85five", "one\ntwo\nthree\nfour\nfive"),
        ("bell\x07 escape\x1b[31m nul\x00 del\x7f c1\x9b", "bell escape[31m nul del c1"),
        ("user\u202egpj.exe\u2066", "usergpj.exe"),
        ("half \ud83d a pair", "half \ufffd a pair"),
        ("an emoji 🎉 and ünïcödé", "an emoji 🎉 and ünïcödé"),
    ],
)
def test_control_characters_and_tricks_of_direction_are_dropped(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@everyone", "@·everyone"),
        ("say @Here now", "say @·Here now"),
        ("(@channel)", "(@·channel)"),
        ("x@all.org", "x@·all.org"),
        ("@ana and @bob", "@·ana and @·bob"),
        ("mail ana@example.org", "mail ana@example.org"),
        ("5 @ 3", "5 @ 3"),
        ("ends with @", "ends with @·"),
        ("<!channel> <!here|here>", "<·!channel> <·!here|here>"),
        ("<!subteam^S1|x>", "<·!subteam^S1|x>"),
        ("<@U123> <@!9> <@&8>", "<·@·U123> <·@·!9> <·@·&8>"),
        ("<http://evil.example|your bank>", "<·http://evil.example|your bank>"),
        ("<#C1|general>", "<·#C1|general>"),
        ("@\u202eeveryone", "@·everyone"),
        ("@\x00everyone", "@·everyone"),
    ],
)
def test_mentions_are_broken_in_every_format(text: str, expected: str) -> None:
    for format in FORMATS:
        written = shown(ESCAPES[format](text))
        unescaped = re.sub(r"\\(?=[<>|])", "", written).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        assert unescaped == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[click](http://evil.example)", "[click]·(http://evil.example)"),
        ("[a]: http://evil.example", "[a]·: http://evil.example"),
        ("rows[3]: wrong", "rows[3]: wrong"),
        ("<b>bold</b>", "<·b>bold<·/b>"),
        ("List<String>", "List<·String>"),
        ("a < b", "a < b"),
        ("see https://example.org/a_b", "see https://example.org/a_b"),
        ("an open <", "an open <·"),
    ],
)
def test_plain_text_has_no_joint_of_a_link_or_tag(text: str, expected: str) -> None:
    assert shown(plain_text(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("load_data", "load_data"),
        ("/var/log/etl-1/run_2.log", "/var/log/etl-1/run_2.log"),
        ("v1.2.3-rc1: 5 of 6 (83%)", "v1.2.3-rc1: 5 of 6 (83%)"),
        ("it's -5 degrees", "it's -5 degrees"),
        ("KeyError: 'a'", "KeyError: 'a'"),
        ("R&D", "R&D"),
        ("__init__", r"\_\_init\_\_"),
        ("*bold*", r"\*bold\*"),
        ("[x](y)", r"\[x\]·(y)"),
        ("`code`", r"\`code\`"),
        ("<b>", r"\<b\>"),
        ("&lt;", r"\&lt;"),
        ("# title", r"\# title"),
        ("- item\n+ item\n1. item\n2) item", "\\- item\n\\+ item\n1\\. item\n2\\) item"),
        ("title\n===\ntitle\n---", "title\n\\===\ntitle\n\\---"),
        ("a | b", r"a \| b"),
        ("> quote", r"\> quote"),
        ("~~gone~~", r"\~\~gone\~\~"),
        (r"back\slash", r"back\\slash"),
    ],
)
def test_markdown_keeps_names_and_paths_readable(text: str, expected: str) -> None:
    assert shown(markdown_text(text)) == expected


def test_html_has_its_characters_and_quotes_replaced() -> None:
    assert ESCAPES["html"]("<a href=\"x\" id='y'> & co") == "&lt;a href=&quot;x&quot; id=&#x27;y&#x27;&gt; &amp; co"


def test_a_title_is_one_line() -> None:
    assert one_line("  a\n\nb\t c ") == "a b c"


PIECES = [*"`*_[]()<>|~&#+-=.!:\\ \n\t12ab@\"'/", "http://e.vil", "&lt;", "```", "    "]
hostile = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
HARMLESS = {
    "paragraph_open",
    "paragraph_close",
    "inline",
    "text",
    "softbreak",
    "hardbreak",
    "code_block",
    "text_special",
}


def tokens(found: list[Token]) -> Iterator[str]:
    for token in found:
        yield token.type
        yield from tokens(token.children or [])


@settings(max_examples=300, deadline=None)
@given(hostile)
def test_commonmark_finds_no_construct_in_escaped_data(text: str) -> None:
    found = (
        MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse("Said: x\n" + markdown_text(text) + " end")
    )

    assert set(tokens(found)) <= HARMLESS


@settings(max_examples=200, deadline=None)
@given(hostile)
def test_python_markdown_finds_no_tag_in_escaped_data(text: str) -> None:
    """apprise turns Markdown into HTML with it, for mail."""
    tags = set(re.findall(r"<\s*/?\s*([a-zA-Z]+)", markdown_to_html("Said: x\n" + markdown_text(text) + " end")))

    assert tags <= {"p", "br", "pre", "code"}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("unit", ["-\n", "[a]\n", "@", "<", "](", "_", "&a", "= ", "\t\n", "1.\n", "\\", "\r"])
def test_escaping_takes_linear_time(format: Format, unit: str) -> None:
    text = unit * (20_000 // len(unit))
    started = time.process_time()

    ESCAPES[format](text)

    assert time.process_time() - started < 0.5
