"""Template syntax as messages need it: a line that holds nothing but tags leaves no empty line behind.

jinja2 drops the newline after every tag or after none. Here it goes only where tags and comments
have the line to themselves: a line of text that ends in ``{% endif %}`` stays a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from jinja2.lexer import Lexer

from gateway.rules.syntax import LanguageEnvironment, Position, PositionLexer

_REST_OF_LINE = re.compile(r"[ \t]*\n")
_SILENT_ENDS = frozenset({"block_end", "comment_end", "raw_begin", "raw_end"})


class StandaloneLexer(PositionLexer):
    """Drops what is left of a line after tags that stand alone on it."""

    def tokeniter(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> Iterator[tuple[int, str, str]]:
        """As jinja2's, without those ends of lines."""
        blank, after_tag = True, False  # blank: only tags and blanks since the last newline
        for position, token, text in super().tokeniter(source, name, filename, state):
            if token == "data":
                rest = _REST_OF_LINE.match(text) if after_tag and blank else None
                after_tag = False
                if rest is not None:
                    position, text = _next_line(position), text[rest.end() :]
                blank = (blank or "\n" in text) and not text.rpartition("\n")[2].strip()
                if not text:
                    continue
            elif token in _SILENT_ENDS:
                after_tag, blank = True, blank or "\n" in text
            elif token in ("variable_begin", "variable_end"):
                after_tag, blank = False, "\n" in text
            yield position, token, text


class TemplateEnvironment(LanguageEnvironment):
    """The environment templates are parsed in."""

    def __init__(self) -> None:
        super().__init__(lstrip_blocks=True)

    @property
    def lexer(self) -> Lexer:
        """The one lexer of this environment."""
        own: StandaloneLexer | None = self.__dict__.get("_standalone_lexer")
        if own is None:
            own = self.__dict__["_standalone_lexer"] = StandaloneLexer(self)
        return own


def _next_line(position: int) -> Position:
    following = Position(position + 1)
    following.column = 1
    return following
