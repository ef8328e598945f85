"""Rates as the configuration writes them: ``"30/1m"`` is thirty in any one minute."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from gateway.config.duration import format_duration, parse_duration

PATTERN = r"^[1-9][0-9]{0,8} ?/ ?[0-9][0-9a-z]*$"
"""Roughly what a rate looks like, for editors; :func:`parse_rate` decides."""

_SHAPE = re.compile(r"([1-9][0-9]{0,8}) ?/ ?([0-9][0-9a-z]*)")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` in any stretch of time as long as ``per``."""

    count: int
    per: timedelta

    def __str__(self) -> str:
        return f"{self.count}/{format_duration(self.per)}"


def parse_rate(text: str) -> Rate:
    """The rate ``text`` writes.

    Raises:
        ValueError: it is not one.
    """
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError("must be a number of messages per duration, such as '30/1m' or '1/2s'")
    per = parse_duration(found[2])
    if not per:
        raise ValueError("must be per a duration longer than zero, such as '30/1m'")
    return Rate(int(found[1]), per)
