"""Secrets: looked up by name where the process is told them, never kept and never shown.

Looked at in this order: the ``secrets`` mapping of the run context, the environment variable of
that name, the file of that name in the secrets directory. The first that is not empty counts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.context import context
from gateway.errors import SecretError

DIRECTORY_VARIABLE = "GATEWAY_SECRETS_DIR"
DEFAULT_DIRECTORY = Path("/run/secrets")
MAX_BYTES = 65_536
"""Larger files are refused: they are no secrets but mistakes."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by its name. ``repr`` and errors show the name only."""

    name: str

    def get(self) -> str:
        """The value as it is set: text, never decoded.

        Prefect 1 reads a value as JSON where it can, so that a numeric password turns into a number
        and ``"null"`` into ``None``; here what was set is what comes back.

        Raises:
            SecretError: it is not set anywhere, or what is there cannot be read.
        """
        return read_secret(self.name)


def read_secret(name: str) -> str:
    """The value of the secret ``name`` in the current run context and environment; see :func:`resolve_secret`."""
    return resolve_secret(name, context.get("secrets") or {}, os.environ, secrets_directory())


def secrets_directory() -> Path:
    """Where secret files are: what ``GATEWAY_SECRETS_DIR`` names, else ``/run/secrets``."""
    return Path(os.environ.get(DIRECTORY_VARIABLE) or DEFAULT_DIRECTORY)


def resolve_secret(name: str, given: Mapping[str, Any], environment: Mapping[str, str], directory: Path) -> str:
    """The first value of ``name`` that is not empty: in ``given``, in ``environment``, in a file of ``directory``.

    One newline at the end of a file is not part of the value.

    Raises:
        SecretError: there is none, the name is not one, or the value is no text.
    """
    _check_name(name)
    value = _text(name, given.get(name)) or environment.get(name) or _file_text(name, directory / name)
    if not value:
        raise SecretError(
            f"the secret {name!r} is not set: looked in the run context's secrets, "
            f"the environment variable {name} and the file {directory / name}"
        )
    return value


def _check_name(name: str) -> None:
    """Refuse what could leave the directory. It is not shown: it may be a value pasted for a name."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SecretError(
            "that is not the name of a secret: a name has at most 200 letters, digits, '_', '-' and '.', "
            "and begins with a letter, a digit or '_'"
        )


def _text(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise SecretError(f"the secret {name!r} in the run context is of type {type(value).__name__}; secrets are text")


def _file_text(name: str, path: Path) -> str:
    try:
        content = _read(path)
    except OSError as error:
        raise SecretError(f"the secret {name!r} cannot be read from {path}: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise SecretError(f"the secret {name!r} in {path} is longer than {MAX_BYTES} bytes")
    text = _decoded(content)
    if text is None:
        raise SecretError(f"the secret {name!r} in {path} is not UTF-8 text")
    return text.removesuffix("\n").removesuffix("\r")


def _read(path: Path) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _decoded(content: bytes) -> str | None:
    # Not raised from the decoder's error: that one holds the whole value.
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
