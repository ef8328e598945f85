"""Sources: the texts a configuration is made of, as read from the disk at one moment."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.config.document import Documents
from gateway.config.models import DEFAULT_TEMPLATES
from gateway.config.outline import Lines
from gateway.config.source import Problem
from gateway.spelling import nearest

LARGEST_FILE = 4 * 1024 * 1024
"""In bytes: room for some 15,000 handlers."""

MOST_FILES = 1000
"""Of each kind, configuration and templates."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything a configuration was read from. Plain text: pickles, and loads the same elsewhere.

    Attributes:
        root: the folder or file that was named.
        files: path as shown to people → text, in the order in which they count.
        templates: name inside the folder of templates → text.
        template_folder: that folder, as shown to people.
    """

    root: str
    files: Mapping[str, str]
    templates: Mapping[str, str] = field(default_factory=dict)
    template_folder: str = DEFAULT_TEMPLATES

    @property
    def base(self) -> Path:
        """The folder that relative paths in the configuration start from: the one that holds ``root``."""
        return base_of(Path(self.root))

    @property
    def fingerprint(self) -> str:
        """The same for the same texts under the same names, and for no others."""
        digest = hashlib.sha256()
        for texts in (self.files, self.templates):
            for name, text in texts.items():
                digest.update(f"{len(name)}:{name}{len(text)}:{text}".encode())
            digest.update(b"|")
        return digest.hexdigest()

    @property
    def hash(self) -> str:
        """The texts in twelve characters, the same wherever the files lie: gateways with the same one run the same."""
        digest = hashlib.sha256()
        for name, text in self.files.items():
            digest.update(f"{Path(name).name}\0{len(text)}:{text}".encode("utf-8", "replace"))
        for name, text in self.templates.items():
            digest.update(f"/{name}\0{len(text)}:{text}".encode("utf-8", "replace"))
        return digest.hexdigest()[:12]


def base_of(root: Path) -> Path:
    """The folder that holds ``root``, also where ``root`` is written as ``.`` or ``..``."""
    return root / ".." if root.name in ("", "..") else root.parent


def read_sources(path: str | Path, documents: Documents | None = None) -> tuple[Sources, list[Problem]]:
    """Read a folder of ``*.toml`` files, or one file, and the templates beside it.

    Args:
        path: the folder or file.
        documents: parsed files to use and add to, if the caller keeps them for :func:`gateway.config.load`.

    Hidden files and folders are passed over. What cannot be read is a problem and left out; the rest is read.
    """
    root, reading = Path(path), _Reading()
    files = {str(file): text for file in reading.config_files(root) if (text := reading.text(file)) is not None}
    named = _template_path(files, Documents() if documents is None else documents)
    folder = base_of(root) / (named or DEFAULT_TEMPLATES)
    templates = reading.templates(folder, required=named is not None)
    return Sources(str(root), files, templates, str(folder)), reading.problems


def _template_path(files: Mapping[str, str], documents: Documents) -> str | None:
    """What ``[templates] path`` says, without a word on what may be wrong with it: that is for the loader."""
    for path, text in files.items():
        if "templates" not in text:
            continue
        table: Any = documents.read(path, text).tables.get("templates")
        named = table.get("path") if isinstance(table, Mapping) else None
        if isinstance(named, str) and named.strip() and "\0" not in named:
            return named
    return None


class _Reading:
    """Reads files and notes what goes wrong."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def config_files(self, root: Path) -> list[Path]:
        try:
            files = self._few(root, ".toml", _children(root))
        except NotADirectoryError:
            return [root]
        except FileNotFoundError:
            self._note(root, "there is no such file or folder", hint=_sibling(root))
            return []
        except OSError as error:
            self._note(root, _cannot_be_read(error))
            return []
        if not files:
            self._note(root, "there is no '*.toml' file in this folder")
        return files

    def templates(self, folder: Path, *, required: bool) -> dict[str, str]:
        if not required and not os.path.lexists(folder):
            return {}
        try:
            files = self._few(folder, ".j2", _below(folder))
        except OSError as error:
            self._note(folder, f"the folder of templates {_cannot_be_read(error)}")
            return {}
        texts = ((file.relative_to(folder).as_posix(), self.text(file)) for file in files)
        return {name: text for name, text in texts if text is not None}

    def text(self, file: Path) -> str | None:
        """The text of ``file``; ``None`` and a problem if there is none to be had."""
        try:
            return _decoded(_content(file))
        except _Unusable as reason:
            self._note(file, str(reason), reason.place)
        except OSError as error:
            self._note(file, _cannot_be_read(error))
        return None

    def _few(self, folder: Path, suffix: str, found: Iterable[Path]) -> list[Path]:
        """Those of ``found`` that end in ``suffix``, in path order and not more than allowed."""
        files = sorted(file for file in found if file.suffix == suffix)
        if len(files) > MOST_FILES:
            self._note(folder, f"holds more than {MOST_FILES} '*{suffix}' files")
        return files[:MOST_FILES]

    def _note(self, path: Path, message: str, place: tuple[int, int] = (0, 0), hint: str | None = None) -> None:
        self.problems.append(Problem("error", str(path), *place, "", message, hint))


def _children(folder: Path) -> list[Path]:
    """What lies in ``folder`` and is neither hidden nor a folder itself."""
    return [child for child in folder.iterdir() if not child.name.startswith(".") and not child.is_dir()]


def _below(folder: Path, parents: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Every file below ``folder`` that is not hidden. Links to folders are followed, but never in a circle."""
    real = os.path.realpath(folder)
    if real in parents:
        return
    for child in folder.iterdir():
        if child.name.startswith("."):
            continue
        if child.is_dir():
            yield from _below(child, parents | {real})
        else:
            yield child


class _Unusable(Exception):
    """A file can be read, but not as what it should be; ``place`` is line and column, if it is about one."""

    def __init__(self, message: str, place: tuple[int, int] = (0, 0)) -> None:
        self.place = place
        super().__init__(message)


def _content(file: Path) -> bytes:
    """The bytes of ``file``. Its kind is asked first: opening a pipe would wait for a writer."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise _Unusable("is not a regular file")
    with file.open("rb") as stream:
        data = stream.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise _Unusable(f"is larger than {LARGEST_FILE // 1024**2} MiB: split it over several files")
    return data


def _decoded(data: bytes) -> str:
    """The text of ``data``, line ends as ``\\n`` and without the mark that some editors put before it."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _Unusable("is UTF-16: save it as UTF-8")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        good = data[: error.start].decode("utf-8-sig")
        message = f"is not UTF-8: byte 0x{data[error.start]:02x} cannot stand here"
        raise _Unusable(message, Lines(good).place(len(good))) from None


def _cannot_be_read(error: OSError) -> str:
    return f"cannot be read: {error.strerror or type(error).__name__}"


def _sibling(missing: Path) -> str | None:
    """What lies beside ``missing`` under a similar name."""
    try:
        near = nearest(missing.name, [child.name for child in missing.parent.iterdir()])
    except OSError:
        return None
    return near and str(missing.with_name(near))
