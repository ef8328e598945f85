"""Addresses that may hold secrets: written as text, or kept in an environment variable or a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_PLACEHOLDER = re.compile(r"""\{\{\s*secret\(\s*(?:'([^']*)'|"([^"]*)")\s*\)\s*\}\}""")
_OPENING = re.compile(r"\{[{%#]")
SECRET_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class UrlError(ValueError):
    """An address is written wrongly. Never shows it: it may hold a password.

    Attributes:
        offset: where in the text, from 0; ``None`` when it is about the whole.
        key: which key of the reference, if it is about one.
    """

    def __init__(self, message: str, offset: int | None = None, key: str | None = None) -> None:
        self.offset, self.key = offset, key
        super().__init__(message)


@dataclass(frozen=True, slots=True, repr=False)
class UrlText:
    """An address written in the configuration, with ``{{ secret('NAME') }}`` where its secrets go.

    Attributes:
        text: as written.
        pieces: the text split at its placeholders: plain text at even places, names of secrets at odd ones.
    """

    text: str
    pieces: tuple[str, ...]

    def __repr__(self) -> str:
        return "UrlText(***)"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets it needs."""
        return self.pieces[1::2]


@dataclass(frozen=True, slots=True)
class EnvReference:
    """The address is the value of the environment variable ``env``."""

    env: str


@dataclass(frozen=True, slots=True)
class FileReference:
    """The address is the text of the file ``file``; a relative path starts beside the configuration."""

    file: str


Url = UrlText | EnvReference | FileReference


def is_web_address(address: str) -> bool:
    """Whether ``address`` is one of the web's: http or https, with a host."""
    scheme, separator, rest = address.partition("://")
    return scheme.lower() in ("http", "https") and bool(separator and rest.strip("/"))


def parse_url(value: Any) -> Url:
    """What TOML's ``value`` says: a text, ``{ env = "NAME" }`` or ``{ file = "PATH" }``.

    Raises:
        UrlError: it is none of these.
    """
    match value:
        case str():
            return _parse_text(value)
        case {"env": str(name), **rest} if not rest:
            return EnvReference(_not_empty(name, "env"))
        case {"file": str(path), **rest} if not rest:
            return FileReference(_not_empty(path, "file"))
    raise UrlError('must be a URL in quotes, { env = "NAME" } or { file = "PATH" }')


def _not_empty(value: str, key: str) -> str:
    if not value or "\0" in value:
        raise UrlError("must not be empty", key=key)
    return value


def _parse_text(text: str) -> UrlText:
    if not text.strip():
        raise UrlError("is empty")
    pieces: list[str] = []
    at = 0
    for found in _PLACEHOLDER.finditer(text):
        name = found[1] or found[2] or ""
        _check_name(name, found.start())
        pieces += [_plain(text, at, found.start()), name]
        at = found.end()
    pieces.append(_plain(text, at, len(text)))
    return UrlText(text, tuple(pieces))


def _check_name(name: str, offset: int) -> None:
    if not SECRET_NAME.fullmatch(name):
        raise UrlError("the name of a secret is made of letters, digits and '_', '-', '.'", offset)


def _plain(text: str, start: int, end: int) -> str:
    opening = _OPENING.search(text, start, end)
    if opening:
        raise UrlError("the only thing understood in braces here is {{ secret('NAME') }}", opening.start())
    return text[start:end]
