"""The front end expressions and templates share: jinja2's parser, with exact columns.

jinja2's nodes carry a line number only. The lexer here hands out :class:`Position`, an ``int``
that remembers its column; jinja2 copies it onto nodes and errors unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from jinja2 import TemplateSyntaxError, nodes
from jinja2.lexer import Lexer
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gateway.errors import LanguageError
from gateway.spelling import nearest

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_KNOWN_ESCAPES = frozenset("\\'\"\nabfnrtvxNuU01234567")


class Position(int):
    """A 1-based line number that also knows its 1-based column and, of a text in quotes, how it is written."""

    column: int = 1
    written: str = ""


class PositionLexer(Lexer):
    """jinja2's lexer, with a :class:`Position` in place of each line number."""

    def tokeniter(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> Iterator[tuple[int, str, str]]:
        """As jinja2's, token by token; columns are found by following the text along."""
        at, line_starts = 0, [0, *(newline.end() for newline in re.finditer("\n", source))]
        for line, token, text in super().tokeniter(source, name, filename, state):
            at = max(source.find(text, at), at) if text else at
            position = Position(line)
            position.column = at - line_starts[min(line, len(line_starts)) - 1] + 1
            at += len(text)
            if token == "string":
                position.written, text = text, _ESCAPE.sub(_known_escape, text)
            yield position, token, text


def _known_escape(found: re.Match[str]) -> str:
    """An escape Python knows; any other is a backslash, which decoding would warn about."""
    return found[0] if found[1] in _KNOWN_ESCAPES else f"\\\\{found[1]}"


class LanguageEnvironment(ImmutableSandboxedEnvironment):
    """A jinja2 environment whose lexer knows columns. jinja2 caches lexers globally, so ours is kept here."""

    @property
    def lexer(self) -> Lexer:
        """The one lexer of this environment."""
        own: PositionLexer | None = self.__dict__.get("_position_lexer")
        if own is None:
            own = self.__dict__["_position_lexer"] = PositionLexer(self)
        return own


def error_at(node: object, message: str, word: str | None = None, options: Iterable[str] = ()) -> LanguageError:
    """The error ``message`` at a jinja2 node, token or syntax error, with the option nearest to ``word`` as hint."""
    line = getattr(node, "lineno", 1) or 1
    return LanguageError(message, int(line), getattr(line, "column", 1), nearest(word, options) if word else None)


def operands(chain: nodes.BinExpr) -> list[nodes.Expr]:
    """What a chain of one operator joins: ``a and b and c`` is one thing of three parts, not a pair of a pair."""
    parts, kind, node = [chain.right], type(chain), chain.left
    while type(node) is kind:
        parts.append(node.right)
        node = node.left
    return [node, *reversed(parts)]


def parse_expression(environment: LanguageEnvironment, source: str) -> nodes.Expr:
    """Parse ``source`` as one Jinja2 expression.

    Raises:
        LanguageError: it is not one, or more follows it.
    """
    try:
        parser = Parser(environment, source, state="variable")
        expression = parser.parse_expression()
        if not parser.stream.eos:
            token = parser.stream.current
            raise error_at(token, f"unexpected {token.value!r}")
    except TemplateSyntaxError as error:
        raise error_at(error, _in_our_words(error.message or "not a valid expression")) from None
    except RecursionError:
        raise LanguageError("nested too deeply") from None
    except ValueError:
        raise LanguageError("a number has too many digits") from None
    return expression


def _in_our_words(message: str) -> str:
    return message.replace("unexpected 'end of template'", "ends too early").replace(
        "got 'end of template'", "but the expression ends"
    )


def parse_template(environment: LanguageEnvironment, source: str) -> nodes.Template:
    """Parse ``source`` as a Jinja2 template.

    Raises:
        LanguageError: it is not one.
    """
    try:
        return environment.parse(source)
    except TemplateSyntaxError as error:
        raise error_at(error, _in_our_words(error.message or "not a valid template")) from None
    except RecursionError:
        raise LanguageError("nested too deeply") from None
    except ValueError:
        raise LanguageError("a number has too many digits") from None


def as_written(operand: nodes.Const) -> str:
    """A literal regular expression without jinja2's own escapes: ``\\b`` is the edge of a word, not a backspace."""
    written = getattr(operand.lineno, "written", "")
    return written[1:-1].replace("\\" + written[0], written[0]) if written else str(operand.value)
