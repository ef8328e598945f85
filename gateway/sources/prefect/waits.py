"""Waits: how long to wait before what failed is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_SECONDS, LONGEST_SECONDS = 0.5, 30.0


class Waits:
    """Growing waits, each between half of its length and all of it, so that many do not come back at once.

    Args:
        longest: seconds.
        dice: gives a number from 0 to 1.
    """

    def __init__(self, longest: float = LONGEST_SECONDS, dice: Callable[[], float] = random.random) -> None:
        self._longest, self._dice = longest, dice
        self._seconds = FIRST_SECONDS

    def next(self) -> float:
        """Seconds to wait now."""
        wait, self._seconds = self._seconds, min(self._seconds * 2, self._longest)
        return wait * (0.5 + self._dice() / 2)

    def reset(self) -> None:
        """It went well: begin with short waits again."""
        self._seconds = FIRST_SECONDS
