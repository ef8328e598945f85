"""Reload: notice an edit, build the new ruleset beside the running one, and tell what changed.

Nothing here swaps anything: the gateway does, with one assignment, once everything is built.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import watchfiles

from gateway.compile import Compiled, Ruleset, compile_ruleset
from gateway.config.document import Documents
from gateway.config.loader import load
from gateway.config.models import Config, Table
from gateway.config.source import Problem
from gateway.config.sources import Sources, read_sources

if TYPE_CHECKING:
    from gateway.channels.transport import Transport

log = logging.getLogger("gateway.reload")

TICK_SECONDS = 0.5
LOOK_ANYWAY_TICKS = 10
"""Every so many ticks the files are looked at anyway: some file systems notify nobody, and folders are replaced
whole. The first tick counts too: an edit may have come before the watch had begun."""

LONGEST_DEBOUNCE = 10
"""An edit that never comes to rest is read after so many times the quiet time."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The record of one reload.

    Attributes:
        accepted: whether the new configuration is in force; otherwise the last good one still is.
        changes: what changed, in words; empty when nothing did.
        problems: everything found, warnings included.
        seconds: how long reading, compiling and swapping took.
    """

    accepted: bool
    changes: tuple[str, ...]
    problems: tuple[Problem, ...]
    seconds: float

    def __str__(self) -> str:
        if not self.accepted:
            errors = [str(problem) for problem in self.problems if problem.severity == "error"]
            return "reload refused, the last good configuration stays:\n" + "\n".join(errors)
        return "reloaded: " + ("; ".join(self.changes) or "nothing changed")


class Builder:
    """Reads and compiles a configuration again and again, remembering what need not be done twice.

    Args:
        path: a folder of TOML files, or one file.
        connect: build the channels; without, no secret is needed and nothing can be sent.
        transport: where the channels' connections come from; the process's own unless given.
    """

    def __init__(self, path: str | Path, *, connect: bool = True, transport: Transport | None = None) -> None:
        self.path = Path(path)
        self._connect = connect
        self._transport = transport
        self._documents = Documents()
        self._signature = ""

    def build(self, previous: Ruleset | None = None) -> Compiled:
        """Read the files now and compile them."""
        return self.build_from(*read_sources(self.path, self._documents), previous)

    def build_if_edited(self, previous: Ruleset) -> Compiled | None:
        """Compile the files if they or the secret files differ from what was compiled last; else ``None``."""
        sources, unreadable = read_sources(self.path, self._documents)
        if self._sign(sources, unreadable, previous.loaded.secret_files) == self._signature:
            return None
        return self.build_from(sources, unreadable, previous)

    def build_from(
        self, sources: Sources, unreadable: Sequence[Problem] = (), previous: Ruleset | None = None
    ) -> Compiled:
        """Compile texts that were read before; with any that could not be read, nothing comes of it."""
        loaded = load(sources, self._documents)
        self._signature = self._sign(sources, unreadable, loaded.secret_files)
        compiled = compile_ruleset(loaded, previous, connect=self._connect, transport=self._transport)
        if not unreadable:
            return compiled
        return Compiled(loaded, None, (*unreadable, *compiled.problems))

    @staticmethod
    def _sign(sources: Sources, unreadable: Iterable[Problem], secret_files: Iterable[str]) -> str:
        digest = hashlib.sha256(sources.fingerprint.encode())
        for problem in unreadable:
            digest.update(str(problem).encode())
        for name in sorted(secret_files):
            digest.update(name.encode() + b"\0" + _content(Path(name)))
        return digest.hexdigest()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        return type(error).__name__.encode()


class Watcher:
    """A thread that calls ``edited`` whenever something that matters may have changed.

    Args:
        paths: what to watch now; asked again after every call, since an edit may move it.
        edited: called in the watcher's thread; its errors are logged and the watch goes on.
        debounce: quiet time after an edit before it is read.
    """

    def __init__(self, paths: Callable[[], set[Path]], edited: Callable[[], object], debounce: timedelta) -> None:
        self._paths = paths
        self._edited = edited
        self._quiet_ms = max(1, int(debounce.total_seconds() * 1000))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway-reload", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self) -> None:
        """Stop and wait for the thread to end."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.is_set():
            watched = {path for path in self._paths() if path.exists()}
            if not watched:
                self._stop.wait(TICK_SECONDS * LOOK_ANYWAY_TICKS)
                self._call()
                continue
            self._watch(watched)

    def _watch(self, watched: set[Path]) -> None:
        """Call ``edited`` at every change and every few seconds, until other paths are to be watched."""
        try:
            changes = watchfiles.watch(
                *watched,
                watch_filter=None,
                step=self._quiet_ms,
                debounce=self._quiet_ms * LONGEST_DEBOUNCE,
                rust_timeout=int(TICK_SECONDS * 1000),
                yield_on_timeout=True,
                stop_event=self._stop,
                raise_interrupt=False,
            )
            for tick, changed in enumerate(changes):
                if not changed and tick % LOOK_ANYWAY_TICKS:
                    continue
                self._call()
                if {path for path in self._paths() if path.exists()} != watched:
                    return
        except OSError as error:
            log.warning("the file system watch ended and is started again", extra={"error": str(error)})
            self._stop.wait(1)

    def _call(self) -> None:
        if self._stop.is_set():
            return
        try:
            self._edited()
        except Exception:
            log.exception("looking for an edit of the configuration failed")


def watched_paths(ruleset: Ruleset) -> set[Path]:
    """The folders whose changes may change the configuration: its own, the templates', the secret files'.

    Folders, not files: editors and secret stores replace a file by renaming another over it.
    """
    sources = ruleset.loaded.sources
    root = Path(sources.root)
    folders = {root if root.is_dir() else root.parent, Path(sources.template_folder)}
    return folders | {Path(name).parent for name in ruleset.loaded.secret_files}


def describe(before: Ruleset, after: Ruleset) -> tuple[str, ...]:
    """What differs between two rulesets, in words. Values are left out: they may be secret."""
    old, new = before.config, after.config
    return (
        *_named("channel", old.channels, new.channels, _new_addresses(before, after)),
        *_named("handler", _by_name(old), _by_name(new), _new_templates(before, after)),
        *_order(old, new),
        *_tables(old, new),
        *_source(before, after),
    )


def _source(before: Ruleset, after: Ruleset) -> Iterator[str]:
    """The Prefect server whose declaration stayed and whose secret changed."""
    old, new = before.prefect, after.prefect
    if old is not None and new is not None and old.written == new.written and old != new:
        yield "[source.prefect]: its secret changed"


def _by_name(config: Config) -> dict[str, Table]:
    return {handler.name: handler for handler in config.handlers}


def _new_addresses(before: Ruleset, after: Ruleset) -> dict[str, str]:
    """Channels whose declaration stayed and whose secret changed."""
    old = before.destinations
    return {
        name: "its secret"
        for name, new in after.destinations.items()
        if name in old and old[name].address != new.address
    }


def _new_templates(before: Ruleset, after: Ruleset) -> dict[str, str]:
    old = {handler.name: handler.template_text for handler in before.handlers}
    return {
        handler.name: f"its template file {handler.written.template}"
        for handler in after.handlers
        if handler.name in old and handler.template_text != old[handler.name]
    }


def _named(kind: str, old: Mapping[str, Table], new: Mapping[str, Table], hidden: Mapping[str, str]) -> Iterator[str]:
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new:
            yield f"{kind} {name!r} removed"
        elif name not in old:
            yield f"{kind} {name!r} added"
        elif changed := [*_changed_keys(old[name], new[name]), *([hidden[name]] if name in hidden else [])]:
            yield f"{kind} {name!r}: {', '.join(dict.fromkeys(changed))} changed"


def _changed_keys(old: Table, new: Table) -> list[str]:
    if type(old) is not type(new):
        return ["kind"]
    before, after = vars(old), vars(new)
    return [key for key in after if before[key] != after[key]]


def _order(old: Config, new: Config) -> Iterator[str]:
    names = {handler.name for handler in old.handlers} & {handler.name for handler in new.handlers}
    before, after = ([h.name for h in config.handlers if h.name in names] for config in (old, new))
    if before != after:
        yield "handlers are in a new order"


def _tables(old: Config, new: Config) -> Iterator[str]:
    later = ": takes effect at the next start"
    tables = {"gateway": "", "templates": "", "source": "", "reload": "", "store": later, "server": later}
    for table, note in tables.items():
        if getattr(old, table) != getattr(new, table):
            yield f"[{table}] changed{note}"
