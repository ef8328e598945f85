r"""How data is written into a message so that it stays data: no markup, no mention, no control character.

Services differ in what they do with a message, so two nets are used. Escaping follows the
format (HTML entities, Markdown backslashes). Beneath it, in every format, the joints of
mentions, links and tags are broken by an invisible U+200B: services that know no escape
(``@everyone`` in Discord and Mattermost, Markdown shown in "text") see nothing there to act on.
A bare web address stays as it is: it shows where it leads.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping

from gateway.format import Format

"""What a message can be written in; the same as a channel's."""

INVISIBLE = "\u200b"


class Verbatim(str):
    """Text already written for the message's format: put into it as it is."""

    __slots__ = ()


_UNWANTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u061c\u202a-\u202e\u2066-\u2069]")
"""Control characters but for newline and tab, and those that turn the direction of reading around."""

_NEWLINE = re.compile("\r\n?|[\x85\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")

_MENTION = re.compile(r"@(?=everyone|here|channel|all|$)|(?<![\w.+-])@(?=[\w&!])", re.IGNORECASE)
"""An ``@`` that calls somebody: before a word for everybody, or at the start of a name; not that of an address."""

_REFERENCE = re.compile(r"<(?=[@!#&]|https?:|mailto:)", re.IGNORECASE)
"""The start of a mention or link as Slack, and who follows it, writes them: ``<@U1>``, ``<!here>``, ``<#C1>``,
``<@&5>``, ``<http://where|what it says>``."""

_TAG = re.compile(r"<(?=[A-Za-z/!?]|$)")
_LINK = re.compile(r"\](?=\()")
_LINK_DEFINITION = re.compile(r"^([ \t]*\[[^\]\n]+\])(?=:)", re.MULTILINE)

_MARKDOWN = re.compile(r"[\\`*\[\]<>|~]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w{1,32};)")
"""What can open or close a construct anywhere. An underscore inside a name cannot."""

_MARKDOWN_LINE = re.compile(
    r"""^([ \t]*)(?:
        (?P<mark> \# | [-+](?=\s|$|\#) | [-=:](?=[-=: \t]*$) )
      | (?P<number> \d{1,9})(?P<dot> [.)])(?=\s|$)
    )""",
    re.MULTILINE | re.VERBOSE,
)
"""What can make a line a heading, an item of a list, or the line below a heading of a text or table."""


def clean(text: str) -> str:
    """``text`` without control characters; newlines and tabs stay, every kind of newline becomes one."""
    if text.isascii() and text.isprintable():
        return text
    text = _UNWANTED.sub("", _NEWLINE.sub("\n", text))
    return _SURROGATE.sub("\ufffd", text)


def neutral(text: str) -> str:
    """Clean text in which nothing calls anybody and no words hide where a link leads."""
    text = clean(text)
    if "@" in text:
        text = _MENTION.sub("@" + INVISIBLE, text)
    if "<" in text:
        text = _REFERENCE.sub("<" + INVISIBLE, text)
    if "]" in text:
        text = _LINK_DEFINITION.sub(r"\1" + INVISIBLE, _LINK.sub("]" + INVISIBLE, text))
    return text


def plain_text(text: str) -> str:
    """Neutral text without tags: some services read markup out of plain text."""
    text = neutral(text)
    return _TAG.sub("<" + INVISIBLE, text) if "<" in text else text


def markdown_text(text: str) -> str:
    """Neutral text with backslashes before everything CommonMark could take for markup."""
    return _MARKDOWN_LINE.sub(_escape_line, _MARKDOWN.sub(r"\\\g<0>", neutral(text)))


def html_text(text: str) -> str:
    """Neutral text with entities for the characters HTML gives a meaning, quotes included."""
    return html.escape(neutral(text))


def one_line(text: str) -> str:
    """``text`` with every run of blanks and newlines made one blank, as titles need it."""
    return " ".join(text.split())


def _escape_line(found: re.Match[str]) -> str:
    if found["mark"]:
        return f"{found[1]}\\{found['mark']}"
    return f"{found[1]}{found['number']}\\{found['dot']}"


ESCAPES: Mapping[Format, Callable[[str], str]] = {"text": plain_text, "markdown": markdown_text, "html": html_text}
"""For each format, how data is written in it."""
