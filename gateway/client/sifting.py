"""Sifting: finds, among transitions that a gateway fails on, those at which it is, so that they hold back no others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MOST_IN_VAIN = 20
"""If so many requests fail and none is taken, nor the last of all, it is the gateway."""

Lines = Sequence[bytes]


def sift(lines: Lines, passes: Callable[[Lines], bool], others_pass: Callable[[], bool]) -> list[bytes] | None:
    """Those of ``lines`` that are not taken, even tried again after others were; ``None`` if no others are.

    Args:
        lines: what was not taken together.
        passes: has some taken, and says whether they were.
        others_pass: whether any that are not among ``lines`` are taken; asked where none of these seems to be.
    """
    failing: list[bytes] = []
    parts, is_any_taken, in_vain = _halves(lines), False, 0
    while parts:
        if in_vain == MOST_IN_VAIN and not is_any_taken:
            if not (passes(lines[-1:]) or others_pass()):
                return None
            is_any_taken = True
        part = parts.pop()
        if passes(part):
            is_any_taken = True
            continue
        in_vain += 1
        if len(part) > 1:
            parts += _halves(part)
        else:
            failing.append(part[0])
    if not (is_any_taken or others_pass()):
        return None
    return [line for line in failing if not passes([line])]


def _halves(lines: Lines) -> list[Lines]:
    """Both halves, the first one at the end: there they are taken from."""
    middle = len(lines) // 2
    return [part for part in (lines[middle:], lines[:middle]) if part]
