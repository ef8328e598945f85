"""Tables as plain text: the first column to the left, all others to the right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Cell = str | int | float
"""A float is shown with so many digits that three or more count."""


def show(title: str, heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print ``rows`` below ``heads``, after a line that says what they are."""
    lines = [heads, *([text(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(title)
    for first, *others in lines:
        rest = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        print("  ".join([first.ljust(widths[0]), *rest]).rstrip())


def text(cell: Cell) -> str:
    if not isinstance(cell, float):
        return f"{cell:,}" if isinstance(cell, int) else cell
    return f"{cell:,.0f}" if cell >= 100 else f"{cell:.1f}" if cell >= 10 else f"{cell:.2f}"


def ratio(larger: float, smaller: float) -> str:
    """How many times ``smaller`` goes into ``larger``."""
    return f"{text(larger / smaller)}x"


def against(aim: float, measured: float, unit: str) -> str:
    """An aim, and whether it was met; less is better."""
    return f"< {aim:g} {unit}: {'met' if measured < aim else 'missed'}"
