"""Timing on a machine that is not ours alone: contenders take turns, and the best round of each counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds: on the clock, and of the processors this process had."""

    wall: float
    processor: float


def timed(work: Callable[[], Result]) -> tuple[Result, Took]:
    """What ``work`` returns, and what it took."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, Took(time.perf_counter() - wall, time.process_time() - processor)


def best(measures: Iterable[Took]) -> Took:
    """The least of each: what the machine added is never less than nothing."""
    found = list(measures)
    return Took(min(one.wall for one in found), min(one.processor for one in found))


def in_turns(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Took]:
    """The best of ``rounds`` rounds, in each of which every contender has its turn."""
    measures: dict[str, list[Took]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, work in contenders.items():
            measures[name].append(timed(work)[1])
    return {name: best(found) for name, found in measures.items()}
