"""The filters only messages have, in each format."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.format import Format
from gateway.rules.message_filters import MESSAGE_FILTERS
from gateway.rules.scope import Scope

AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def apply(name: str, format: Format, value: object, *arguments: object) -> Any:
    return MESSAGE_FILTERS[name].function(Scope({}, format, AT), value, *arguments)


@pytest.mark.parametrize(
    ("name", "value", "arguments", "text", "markdown", "html"),
    [
        ("code", "load_data", [], "load_data", "`load_data`", "<code>load_data</code>"),
        ("code", "a`b", [], "a`b", "`` a`b ``", "<code>a`b</code>"),
        ("code", "a\n<b>", [], "a <\u200bb>", "`a <b>`", "<code>a &lt;b&gt;</code>"),
        ("code", "", [], "", "", "<code></code>"),
        ("codeblock", "a\n``` b", [], "a\n``` b", "\n```\na\n`\u200b`` b\n```\n", "<pre>a\n``` b</pre>"),
        ("codeblock", "<!here>", [], "<\u200b!here>", "\n```\n<\u200b!here>\n```\n", "<pre>&lt;\u200b!here&gt;</pre>"),
        (
            "link",
            "the run",
            ["https://example.org/a_b?x=1&y=2"],
            "the run: https://example.org/a_b?x=1&y=2",
            "[the run](<https://example.org/a_b?x=1&y=2>)",
            '<a href="https://example.org/a_b?x=1&amp;y=2">the run</a>',
        ),
        ("link", "no run", [""], "no run", "no run", "no run"),
        ("link", "bad", ["javascript:alert(1)"], "bad", "bad", "bad"),
        (
            "link",
            "[x]\n",
            ['http://e.org/>) <!here> "@all'],
            "[x]: http://e.org/%3E%29%20%3C!here%3E%20%22%40all",
            r"[\[x\]](<http://e.org/%3E%29%20%3C!here%3E%20%22%40all>)",
            '<a href="http://e.org/%3E%29%20%3C!here%3E%20%22%40all">[x]</a>',
        ),
        ("raw", "<!here> *b*", [], "<!here> *b*", "<!here> *b*", "<!here> *b*"),
        ("raw", "\x00<b>", [], "<b>", "<b>", "<b>"),
        ("escape", "*<", [], "*<\u200b", r"\*\<", "*&lt;"),
    ],
)
def test_a_text_is_written_for_its_format(
    name: str, value: str, arguments: list[str], text: str, markdown: str, html: str
) -> None:
    assert apply(name, "text", value, *arguments) == text
    assert apply(name, "markdown", value, *arguments) == markdown
    assert apply(name, "html", value, *arguments) == html


@pytest.mark.parametrize(
    ("value", "arguments", "expected"),
    [
        ("2026-03-29T01:35:00Z", [], "in 5m"),
        ("2026-03-29T01:29:10Z", [], "50s ago"),
        (AT, [], "now"),
        (AT, ["2026-03-28T01:30:00Z"], "in 1d"),
        (None, [], None),
    ],
)
def test_a_time_is_told_from_the_transition_or_another_time(value: Any, arguments: list[Any], expected: str) -> None:
    assert apply("relative", "text", value, *arguments) == expected
