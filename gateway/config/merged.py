"""The tables of all files joined to one, with a memory of where each came from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.config.document import Document
from gateway.config.outline import KeyPath
from gateway.config.source import Position, Problem, ProblemSeverity, SourceFile, key_text


class Merged:
    """All tables together: ``channel`` and ``source`` by name, ``handler`` a list in the order of files and tables.

    Paths into it may name a handler by its position over all files or by its name.
    """

    def __init__(self, documents: Iterable[Document]) -> None:
        self.tables: dict[str, Any] = {}
        self.problems: list[Problem] = []
        self._origins: dict[KeyPath, tuple[SourceFile, KeyPath]] = {}
        self._handlers: dict[str, int] = {}
        for document in documents:
            self._origins.setdefault((), (document.source, ()))
            for key, value in document.tables.items():
                self._add(document.source, key, value)

    def problem(
        self,
        severity: ProblemSeverity,
        path: KeyPath,
        message: str,
        hint: str | None = None,
        *,
        about_key: bool = False,
        inside: tuple[int, int] | None = None,
    ) -> Problem:
        """The problem ``message`` about ``path``, at :meth:`where` that is."""
        path = self._written(path)
        place = self.where(path, about_key=about_key, inside=inside)
        return Problem(severity, place.file, place.line, place.column, self._key(path), message, hint)

    def where(self, path: KeyPath, *, about_key: bool = False, inside: tuple[int, int] | None = None) -> Position:
        """Where the value of ``path`` stands; its key; or the line and column ``inside`` the value's text."""
        origin = self._origin(path)
        if origin is None:
            return Position("")
        source, local = origin
        return source.locate_in(local, *inside) if inside else source.locate(local, key=about_key)

    def _add(self, source: SourceFile, key: str, value: Any) -> None:
        if key == "channel" and isinstance(value, dict):
            self._add_channels(source, value)
        elif key == "source" and isinstance(value, dict):
            self._add_sources(source, value)
        elif key == "handler" and isinstance(value, list):
            self._add_handlers(source, value)
        elif key in _SHAPES:
            self._refuse(source, (key,), f"{key}s are declared as {_SHAPES[key]}")
        else:
            self._add_single(source, key, value)

    def _add_channels(self, source: SourceFile, channels: dict[str, Any]) -> None:
        merged = self.tables.setdefault("channel", {})
        self._origins.setdefault(("channel",), (source, ("channel",)))
        for name, table in channels.items():
            path = ("channel", name)
            if name in merged:
                first = self.where(path, about_key=True)
                self._refuse(source, path, f"there is a channel of this name already, at {first}")
            elif not isinstance(table, dict):
                self._refuse(source, path, f"is not a channel: those are declared as {_SHAPES['channel']}")
            else:
                merged[name] = table
                self._origins[path] = source, path

    def _add_sources(self, source: SourceFile, sources: dict[str, Any]) -> None:
        merged = self.tables.setdefault("source", {})
        self._origins.setdefault(("source",), (source, ("source",)))
        for name, table in sources.items():
            path = ("source", name)
            if name in _OF_MANY and isinstance(table, dict):
                self._add_of_many(source, path, table)
            elif name in merged:
                first = self.where(path, about_key=True)
                self._refuse(source, path, f"stands in one file only, and is already at {first}")
            else:
                merged[name] = table
                self._origins[path] = source, path

    def _add_of_many(self, source: SourceFile, above: KeyPath, tables: dict[str, Any]) -> None:
        """Sources of one kind, each of which has a name."""
        merged = self.tables["source"].setdefault(above[1], {})
        self._origins.setdefault(above, (source, above))
        for name, table in tables.items():
            path = (*above, name)
            if isinstance(merged, dict) and name in merged:
                self._refuse(source, path, f"is declared already, at {self.where(path, about_key=True)}")
            elif isinstance(merged, dict):
                merged[name] = table
                self._origins[path] = source, path

    def _add_handlers(self, source: SourceFile, handlers: list[Any]) -> None:
        merged = self.tables.setdefault("handler", [])
        self._origins.setdefault(("handler",), (source, ("handler",)))
        for local, table in enumerate(handlers):
            index = len(merged)
            merged.append(table)
            self._origins["handler", index] = source, ("handler", local)
            name = table.get("name") if isinstance(table, dict) else None
            if isinstance(name, str) and self._handlers.setdefault(name, index) != index:
                first = self.where(("handler", name, "name"))
                message = f"there is a handler {name!r} already, at {first}"
                self.problems.append(self.problem("error", ("handler", index, "name"), message))

    def _add_single(self, source: SourceFile, key: str, value: Any) -> None:
        if key in self.tables:
            first = self.where((key,))
            self._refuse(source, (key,), f"stands in one file only, and is already at {first}")
            return
        self.tables[key] = value
        self._origins[key,] = source, (key,)

    def _refuse(self, source: SourceFile, path: KeyPath, message: str) -> None:
        place = source.locate(path, key=True)
        self.problems.append(Problem("error", place.file, place.line, place.column, key_text(path), message))

    def _origin(self, path: KeyPath) -> tuple[SourceFile, KeyPath] | None:
        path = self._by_position(path)
        for length in (3, 2, 1, 0):
            origin = self._origins.get(path[:length]) if len(path) >= length else None
            if origin is not None:
                source, local = origin
                return source, (*local, *path[length:])
        return None

    def _by_position(self, path: KeyPath) -> KeyPath:
        if len(path) > 1 and path[0] == "handler" and isinstance(path[1], str):
            return ("handler", self._handlers.get(path[1], path[1]), *path[2:])
        return path

    def _written(self, path: KeyPath) -> KeyPath:
        """``path`` as far as it is written: a list of one may be a mere text."""
        value: Any = self.tables
        for depth, part in enumerate(self._by_position(path)):
            if isinstance(value, str):
                return path[:depth]
            try:
                value = value[part]
            except (LookupError, TypeError):
                return path
        return path

    def _key(self, path: KeyPath) -> str:
        """The path as text: a handler by its name, or by its number in its file if it has none."""
        path = self._by_position(path)
        if len(path) < 2 or path[0] != "handler":
            return key_text(path)
        table = self.tables["handler"][path[1]] if isinstance(path[1], int) else None
        name = table.get("name") if isinstance(table, dict) else None
        if isinstance(name, str):
            return key_text(("handler", name, *path[2:]))
        origin = self._origin(path)
        return key_text(origin[1] if origin else path)


_OF_MANY = ("cloudevents",)
"""Sources of which there can be several, each by a name."""

_SHAPES = {
    "channel": "[channel.NAME]",
    "source": "[source.prefect] or [source.cloudevents.NAME]",
    "handler": "[[handler]], in two brackets, once for each handler",
}
"""How the tables of which there are many are declared."""
