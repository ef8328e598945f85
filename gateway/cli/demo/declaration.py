"""The demo's configuration: the starting one in a folder of its own, and edits of it as a person would make them."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.cli.configuration import copy_starter

_TABLE = re.compile(r"^(?=\[)", re.MULTILINE)


class Declaration:
    """A copy of the starting configuration in ``folder``."""

    def __init__(self, folder: Path) -> None:
        copy_starter(folder)
        self.path = folder / "config"

    def set_channel(self, name: str, key: str, value: str) -> None:
        """Let ``key`` of a channel be ``value``, written as TOML."""
        self._set("channels.toml", f"[channel.{name}]", key, value)

    def set_handler(self, name: str, key: str, value: str) -> None:
        """Let ``key`` of a handler be ``value``, written as TOML."""
        self._set("handlers.toml", rf'"{name}"', key, value)

    def add(self, file: str, text: str) -> None:
        """Add a file."""
        (self.path / file).write_text(text)

    def _set(self, file: str, mark: str, key: str, value: str) -> None:
        path = self.path / file
        tables = _TABLE.split(path.read_text())
        position = next(n for n, table in enumerate(tables) if mark in table)
        tables[position] = _with_key(tables[position], key, value)
        # Renamed into place, as editors do: a reload never reads half a file.
        fresh = path.with_name(f".{file}")
        fresh.write_text("".join(tables))
        fresh.replace(path)


def _with_key(table: str, key: str, value: str) -> str:
    """The text of a table with one line of it replaced, or added below its header."""
    line = f"{key} = {value}"
    changed, count = re.subn(rf"^{key}\s*=.*$", lambda _: line, table, count=1, flags=re.MULTILINE)
    if count:
        return changed
    header, _, rest = table.partition("\n")
    return f"{header}\n{line}\n{rest}"
