"""Addresses with their secrets filled in, and the files those come from.

No function here puts a value into a message.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from gateway.config.url import EnvReference, FileReference, Url, UrlText
from gateway.errors import SecretError
from gateway.secrets import read_secret, secrets_directory

_LONGEST = 64 * 1024


def resolve_url(url: Url, base: Path) -> str:
    """The address ``url`` stands for.

    Args:
        url: as written in the configuration.
        base: where relative paths of files start: :attr:`gateway.config.sources.Sources.base`.

    A secret inside a longer address is percent-encoded; one that is the whole address is taken as it is.

    Raises:
        SecretError: a secret, variable or file is not there or holds no single line; names it, never shows a value.
    """
    match url:
        case UrlText(pieces=("", name, "")):
            return _one_line(read_secret(name), f"the secret {name!r}")
        case UrlText(pieces=pieces):
            return "".join(_filled(pieces))
        case EnvReference(env=name):
            return _one_line(_environment(name), f"the environment variable {name!r}")
        case FileReference(file=path):
            return _one_line(_file(base / path), f"the file {path!r}")


def files_of(url: Url, base: Path) -> list[Path]:
    """The files that :func:`resolve_url` may read for ``url``, whether they exist or not."""
    match url:
        case FileReference(file=path):
            return [base / path]
        case UrlText(secrets=names):
            return [secrets_directory() / name for name in names]
    return []


def _filled(pieces: tuple[str, ...]) -> Iterator[str]:
    for number, piece in enumerate(pieces):
        yield quote(read_secret(piece), safe="") if number % 2 else piece


def _environment(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise SecretError(f"the environment variable {name!r} is not set")
    return value


def _file(path: Path) -> str:
    data = _content(path)
    if len(data) > _LONGEST:
        raise SecretError(f"the file '{path}' is too large for an address")
    text = _decoded(data)
    if text is None:
        raise SecretError(f"the file '{path}' is not UTF-8")
    return text


def _content(path: Path) -> bytes:
    """At most one byte more than allowed. The kind is asked first: opening a pipe would wait for a writer."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SecretError(f"'{path}' is not a regular file")
        with path.open("rb") as stream:
            return stream.read(_LONGEST + 1)
    except (OSError, ValueError) as error:
        raise SecretError(f"the file '{path}' cannot be read: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


def _decoded(data: bytes) -> str | None:
    # Not raised from the decoder's error: that one holds the whole value.
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _one_line(value: str, origin: str) -> str:
    """``value`` without the line end that editors and secret stores add."""
    line = value.strip()
    if not line:
        raise SecretError(f"{origin} is empty")
    if "\n" in line or "\r" in line:
        raise SecretError(f"{origin} holds more than one line")
    return line
