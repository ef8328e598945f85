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
from benchmarks._timing import Took, best, timed
from gateway.app import Gateway
from gateway.compile import compile_ruleset
from gateway.config import load, read_sources

FILES = (10, 1)
UNINDEXABLE = 0.01
AIM_HANDLERS, AIM_MS = 1_000, 100

CHANNEL = '[channel.screen]\nurl = "console://"\n'
HANDLER = """
[[handler]]
name    = "handler-{number}"
when    = "{when}"
tags    = {{ none = ["retired-0"] }}
to      = ["screen"]
title   = "{{{{ flow.name }}}} is {{{{ state.type }}}}"
message = "Message {number}: {{{{ state.message | truncate(200) }}}}"
"""


@dataclass(frozen=True, slots=True)
class Loads:
    """What the steps of a first load took, and what a reload did."""

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
        first_load(written(Path(folder) / "tiny", files, files))
        root = written(Path(folder) / "config", handlers, files)
        steps = first_load(root)
        with Gateway(root, watch=False) as gateway:
            again = [reload(gateway, root / "handlers-0.toml", edition) for edition in range(reloads)]
    return Loads(*steps, reload=best(again))


def written(root: Path, handlers: int, files: int) -> Path:
    """A folder with as many handlers, spread over as many files."""
    root.mkdir()
    (root / "channels.toml").write_text(CHANNEL)
    population = conditions(handlers, int(handlers * UNINDEXABLE), Random(handlers))
    tables = [HANDLER.format(number=number, when=condition.when) for number, condition in enumerate(population)]
    for number in range(files):
        (root / f"handlers-{number}.toml").write_text("".join(tables[number::files]))
    return root


def first_load(root: Path) -> tuple[Took, Took, Took]:
    """What reading, parsing and compiling took."""
    (sources, _), reading = timed(lambda: read_sources(root))
    loaded, loading = timed(lambda: load(sources))
    compiled, compiling = timed(lambda: compile_ruleset(loaded))
    assert compiled.problems == ()
    return reading, loading, compiling


def reload(gateway: Gateway, file: Path, edition: int) -> Took:
    """What a reload takes after an edit of the first handler's condition."""
    file.write_text(file.read_text().replace(f"retired-{edition}", f"retired-{edition + 1}", 1))
    reloaded, took = timed(gateway.reload)
    assert reloaded.changes == ("handler 'handler-0': tags changed",)
    return took


if __name__ == "__main__":
    main()
