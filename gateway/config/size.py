"""Sizes as the configuration writes them: ``"4MiB"``, ``"512KiB"``, ``"65536B"``."""

from __future__ import annotations

import re

PATTERN = r"^[0-9]{1,12}(B|KiB|MiB)$"
"""What a size looks like: a whole number and a unit."""

_SHAPE = re.compile(r"([0-9]{1,12})(B|KiB|MiB)")
_UNITS = {"MiB": 1024 * 1024, "KiB": 1024, "B": 1}


class Size(int):
    """A number of bytes. Its text is as :func:`parse_size` reads it, in the largest unit that tells it exactly."""

    def __str__(self) -> str:
        unit = next(unit for unit, size in _UNITS.items() if self % size == 0)
        return f"{self // _UNITS[unit]}{unit}"


def parse_size(text: str) -> Size:
    """The bytes that ``text`` writes.

    Raises:
        ValueError: it is not a size.
    """
    found = _SHAPE.fullmatch(text)
    if not found:
        raise ValueError("must be a size such as '4MiB', '512KiB' or '65536B'")
    return Size(int(found[1]) * _UNITS[found[2]])
