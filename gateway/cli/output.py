"""What the commands print: tables for people, JSON for machines, problems with the line they are about."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.config.report import write_problems
from gateway.config.source import Problem

GOOD, FINDINGS, USAGE = 0, 1, 2
"""Exit codes: all is well; something was found or refused; the command was called wrongly."""

UNBOUNDED = 10_000
"""The width of a table that is not read on a terminal: one line for each row, however long."""

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)

_HARMLESS = "\n\N{ZERO WIDTH SPACE}\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
_COLOURS = {"error": "bold red", "warning": "yellow"}


def say(text: str = "", style: str = "") -> None:
    """A line or several to standard output; nothing in it is read as markup or obeyed by the terminal."""
    out.print(Text(printable(text), style=style))


def warn(text: str, style: str = "yellow", to: Console = err) -> None:
    """The same to standard error, unless told otherwise."""
    to.print(Text(printable(text), style=style))


def fail(message: str, code: int = FINDINGS) -> NoReturn:
    """Say why on standard error, and end."""
    err.print(Text.assemble(("error: ", "bold red"), printable(message)))
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """``value`` as one JSON document."""
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False, indent=2) + "\n")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return [*value] if isinstance(value, Iterable) else str(value)


def print_problems(problems: Sequence[Problem], to: Console = err) -> None:
    """Every problem, with the line it is about, and their number; to standard error unless told otherwise."""
    texts = _texts_of(problems)
    for problem in problems:
        headline, _, excerpt = write_problems([problem], texts).partition("\n")
        warn(headline, _COLOURS[problem.severity], to)
        if excerpt:
            warn(excerpt.rstrip("\n"), "", to)
    if problems:
        warn(_counted(problems), "", to)


def _texts_of(problems: Sequence[Problem]) -> Mapping[str, str]:
    """The texts of the files that the problems are about."""
    texts = {}
    for name in {problem.file for problem in problems if problem.line}:
        try:
            texts[name] = Path(name).read_text(encoding="utf-8-sig", errors="replace")
        except OSError:
            continue  # gone since: the problem is told without its line
    return texts


def _counted(problems: Sequence[Problem]) -> str:
    numbers = Counter[str](problem.severity for problem in problems)
    return ", ".join(number(numbers[severity], severity) for severity in _COLOURS if numbers[severity])


def number(count: int, noun: str) -> str:
    """A count in words: ``1 error``, ``2 errors``, ``no deliveries``, ``1,000 deliveries``."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    told = f"{count:,}" if count else "no"
    return f"{told} {noun if count == 1 else plural}"


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    shortened: Collection[str] = (),
    numbers: Collection[str] = (),
) -> None:
    """A table to standard output.

    Args:
        columns: their headings.
        rows: a value for each column.
        shortened: columns that are cut where the terminal is too narrow, so that each row is one line;
            without any, columns are folded. What is not read on a terminal is never cut or folded.
        numbers: columns that end at the same place.
    """
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        is_cut = column in shortened
        grid.add_column(
            column,
            no_wrap=bool(shortened) and not is_cut,
            overflow="ellipsis" if is_cut else "fold",
            justify="right" if column in numbers else "left",
        )
    for row in rows:
        grid.add_row(*(_cell(value, column in shortened) for column, value in zip(columns, row, strict=True)))
    if out.is_terminal:
        out.print(grid, soft_wrap=False)  # a table has to know how wide it may be
    else:
        sys.stdout.writelines(f"{line}\n" for line in _unbounded(grid))


def _unbounded(grid: Table) -> Iterator[str]:
    wide = Console(file=io.StringIO(), width=UNBOUNDED)
    with wide.capture() as captured:
        wide.print(grid)
    return (line.rstrip() for line in captured.get().splitlines())


def _cell(value: object, one_line: bool) -> Text:
    if isinstance(value, Text):
        return value
    text = clock(value) if isinstance(value, datetime) else "" if value is None else str(value)
    return Text(printable(text.replace("\n", " ")), no_wrap=one_line)


def size(number_of_bytes: int) -> str:
    """A size for people: ``950 B``, ``1.2 MB``, ``14 GB``."""
    value, units = float(number_of_bytes), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.1f} {units[0]}" if value < 10 and units[0] != "B" else f"{value:.0f} {units[0]}"


def clock(at: datetime) -> str:
    """A time as the reader's clock shows it, without the day if that is today."""
    local, now = at.astimezone(), datetime.now().astimezone()
    return local.strftime("%H:%M:%S" if local.date() == now.date() else "%Y-%m-%d %H:%M:%S")


def printable(text: str) -> str:
    """``text`` without what a terminal would obey: what is shown may come from an event."""
    return "".join(c if c.isprintable() or c in _HARMLESS else "\N{REPLACEMENT CHARACTER}" for c in text.expandtabs(4))
