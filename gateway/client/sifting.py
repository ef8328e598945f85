"""Sifting: finds, among transitions that a gateway fails on, those at which it is, so that they hold back no others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MOST_IN_VAIN = 20
"""If so many requests fail and none is taken, it is the gateway."""

Lines = Sequence[bytes]


def sift(lines: Lines, passes: Callable[[Lines], bool], others_pass: Callable[[], bool]) -> list[bytes] | None:
    """Those of ``lines`` that are not taken, even tried again after others were; ``None`` if no others are.

    Args:
        lines: what was not taken together.
        passes: has some taken, and says whether they were.
        others_pass: whether any that are not among ``lines`` are taken; asked if none of these is.
    """
    failing: list[bytes] = []
    parts, is_any_taken, in_vain = _halves(lines), False, 0
    while parts and (is_any_taken or in_vain < MOST_IN_VAIN):
        part = parts.pop()
        if passes(part):
            is_any_taken = True
            continue
        in_vain += 1
        if len(part) > 1:
            parts += _halves(part)
        else:
            failing.append(part[0])
    if not is_any_taken and (parts or not others_pass()):
        return None
    return [line for line in failing if not passes([line])]


def _halves(lines: Lines) -> list[Lines]:
    """Both halves, the first one at the end: there they are taken from."""
    middle = len(lines) // 2
    return [part for part in (lines[middle:], lines[:middle]) if part]
