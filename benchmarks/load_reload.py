"""Loading a configuration the first time, and again after an edit of one of its handlers.

Each measurement is a process of its own, which has loaded a tiny configuration before: neither
imports nor what an earlier load left behind are counted.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks._population import conditions
from benchmarks._table import against, ratio, show
from benchmarks._timing import Took, best, took
from gateway.app import Gateway
from gateway.compile import Compiled, compile_ruleset
from gateway.config import Sources, load, read_sources

FILES = (10, 1)
UNINDEXABLE = 0.01
AIM_HANDLERS, AIM_MS = 1_000, 100

CHANNEL = '[channel.screen]\nurl = "console://"\n'
HANDLER = """
[[handler]]
name    = "handler-{number}"
when    = "{when}"
to      = ["screen"]
title   = "{{{{ flow.name }}}} is {{{{ state.type }}}}"
message = "Edition {edition} of message {number}: {{{{ state.message | truncate(200) }}}}"
"""


@dataclass(frozen=True, slots=True)
class Loads:
    """What the steps of a first load took, and a reload."""

    read: Took
    load: Took
    compile: Took
    reload: Took

    @property
    def first(self) -> float:
        return self.read.processor + self.load.processor + self.compile.processor


def main(quick: bool = False) -> None:
    sizes, processes, reloads = ((50,), 1, 1) if quick else ((1_000, 10_000), 2, 7)
    rows = [
        row(handlers, files, best_of([isolated(handlers, files, reloads) for _ in range(processes)]))
        for handlers in sizes
        for files in FILES
    ]
    show(
        "loading, and again after an edit of one handler; ms of processor time",
        ("handlers", "files", "read", "parse", "compile", "first load", "reload", "first/", "reload, clock", "aim"),
        rows,
    )


def row(handlers: int, files: int, loads: Loads) -> tuple[str | float, ...]:
    reload = loads.reload.processor
    return (
        f"{handlers:,}",
        str(files),
        1e3 * loads.read.processor,
        1e3 * loads.load.processor,
        1e3 * loads.compile.processor,
        1e3 * loads.first,
        1e3 * reload,
        ratio(loads.first, reload),
        1e3 * loads.reload.wall,
        against(AIM_MS, 1e3 * reload, "ms") if handlers == AIM_HANDLERS else "",
    )


def best_of(found: list[Loads]) -> Loads:
    return Loads(
        best([one.read for one in found]),
        best([one.load for one in found]),
        best([one.compile for one in found]),
        best([one.reload for one in found]),
    )


def isolated(handlers: int, files: int, reloads: int) -> Loads:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(measure, handlers, files, reloads).result()


def measure(handlers: int, files: int, reloads: int) -> Loads:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "tiny", files, texts(files, 1, files))
        first_load(Path(folder) / "tiny")
        root, written = Path(folder) / "config", texts(handlers, 1, files)
        write(root, files, written)
        read, loaded, compiled = first_load(root)
        with Gateway(root, watch=False, drain_seconds=0) as gateway:
            again = [reload(gateway, root, handlers, files, edition) for edition in range(2, 2 + reloads)]
        return Loads(read, loaded, compiled, best(again))


def texts(handlers: int, edition: int, files: int) -> list[str]:
    """The text of each file; the first handler's message tells the edition."""
    written = conditions(handlers, int(handlers * UNINDEXABLE), Random(handlers))
    tables = [
        HANDLER.format(number=number, when=condition.when, edition=1 if number else edition)
        for number, condition in enumerate(written)
    ]
    return ["".join(tables[start::files]) for start in range(files)]


def write(root: Path, files: int, written: list[str]) -> None:
    root.mkdir()
    (root / "channels.toml").write_text(CHANNEL)
    for number in range(files):
        (root / f"handlers-{number}.toml").write_text(written[number])


def first_load(root: Path) -> tuple[Took, Took, Took]:
    found: list[Sources | Compiled] = []
    read = took(lambda: found.append(read_sources(root)[0]))
    ...
