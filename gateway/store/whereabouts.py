"""Whereabouts: whether the files a process has open are still the ones others would find.

A deleted file can still be written to, and all of it is gone with the process. What was accepted
into one would be lost, so nothing is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from gateway.errors import StoreError


class Whereabouts:
    """Remembers which files were found under some names.

    Args:
        paths: the names, the most important first. A file that is not there yet is remembered once it is.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._known: dict[str, tuple[int, int] | None] = dict.fromkeys(map(str, paths))

    def check(self) -> None:
        """Make sure that they are the same files. Costs a few microseconds.

        Raises:
            StoreError: one was deleted, moved or replaced.
        """
        for path, known in self._known.items():
            found = _identity(path)
            if known is None:
                self._known[path] = found
            elif found != known:
                what = "is gone" if found is None else "is another file than it was"
                raise StoreError(
                    f"the store was taken away while open: {path} {what}; put all its files back, or end every gateway "
                    "on it and start anew"
                )


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 # every transaction pays for it, and Path takes twice as long
    except OSError:
        return None
    return found.st_dev, found.st_ino
