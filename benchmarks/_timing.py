"""Timing on a machine that is not ours alone: contenders take turns, and the best round of each counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds: on the clock, and of the processors this process had."""

    wall: float
    processor: float


def took(work: Callable[[], object]) -> Took:
    """What ``work`` took, once."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return Took(time.perf_counter() - wall, time.process_time() - processor)


def best(measures: list[Took]) -> Took:
    """The least of each: what the machine added is never less than nothing."""
    return Took(min(one.wall for one in measures), min(one.processor for one in measures))


def in_turns(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Took]:
    """The best of ``rounds`` rounds, in each of which every contender has its turn."""
    measures: dict[str, list[Took]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, work in contenders.items():
            measures[name].append(took(work))
    return {name: best(found) for name, found in measures.items()}
