"""Every exception the package raises on purpose, under one root.

The tree::

    GatewayError
    ├── ConfigError          the configuration has problems (all of them, with positions)
    ├── SecretError          a secret is not set anywhere; names it, never shows a value
    ├── LanguageError        an expression or a template is wrong, with line and column
    │   └── TemplateError    a template is wrong, and in which of its parts
    ├── RenderError          a template failed while rendering a real transition
    ├── ChannelError         a channel's URL cannot be used; says why, never shows the URL
    ├── PayloadError         an event cannot be understood; lists what is wrong with it
    ├── DeliveryError        a ``required`` notification was not delivered
    ├── ListenError          the server cannot listen where it was told to
    ├── SourceError          a source cannot be read now; says why and what would be right
    ├── ClientError          a client cannot be made as it was told to; says why, never shows the token
    └── StoreError           the store cannot take or give rows
        ├── StoreFullError   no room on the disk
        ├── StoreSlowError   a question took longer than it may
        ├── StoreDoubtError  the database went away and left in doubt what it kept
        └── StoreClosedError used after close
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.config.source import Problem


class GatewayError(Exception):
    """Root of every error this package raises on purpose."""


class ConfigError(GatewayError):
    """The configuration has problems; ``problems`` lists every one of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SecretError(GatewayError):
    """A secret cannot be resolved. The message names it and never holds a value."""


class LanguageError(GatewayError):
    """An expression or template is wrong.

    Args:
        message: what is wrong.
        line: 1-based line inside the expression or template.
        column: 1-based column inside that line.
        hint: what would be right, if it can be guessed (shown as "did you mean …?").
    """

    def __init__(self, message: str, line: int = 1, column: int = 1, hint: str | None = None) -> None:
        self.message, self.line, self.column, self.hint = message, line, column, hint
        suggestion = f" (did you mean {hint!r}?)" if hint else ""
        super().__init__(f"{line}:{column}: {message}{suggestion}")


class TemplateError(LanguageError):
    """A template is wrong.

    Attributes:
        part: ``"title"``, ``"message"`` or ``"file"``: what ``line`` and ``column`` count in.
        others: the further problems of the same template.
    """

    def __init__(self, message: str, line: int = 1, column: int = 1, hint: str | None = None, *, part: str) -> None:
        super().__init__(message, line, column, hint)
        self.part = part
        self.others: tuple[TemplateError, ...] = ()


class RenderError(GatewayError):
    """A template failed on a real transition. The notification is still sent, as plain fallback text."""


class ChannelError(GatewayError):
    """A channel's URL cannot be used; ``reasons`` says why, one sentence each. None of them shows the URL."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("; ".join(self.reasons))


class PayloadError(GatewayError):
    """An event cannot be understood; ``complaints`` lists everything that is wrong with it."""

    def __init__(self, complaints: Sequence[str]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("; ".join(self.complaints))


class DeliveryError(GatewayError):
    """A notification declared ``required`` was not delivered inside its transition."""


class ListenError(GatewayError):
    """The server cannot listen where it was told to."""


class SourceError(GatewayError):
    """A source cannot be read now. Says why, and what would be right; never shows a secret."""


class ClientError(GatewayError):
    """A client cannot be made as it was told to. The message never holds the token."""


class StoreError(GatewayError):
    """The store cannot take or give rows."""


class StoreFullError(StoreError):
    """The disk that holds the store is full; nothing of the refused transaction was kept."""


class StoreSlowError(StoreError):
    """A question took longer than it may; a narrower one may not."""


class StoreDoubtError(StoreError):
    """The database went away in the middle of a commit, and what of it was kept is not known."""


class StoreClosedError(StoreError):
    """The store was used after it was closed."""
