"""The wall clock is set by an hour, either way: nothing freezes, and nothing is sent before its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import pytest

from chaos.books import PostgresBooks
from chaos.cluster import Cluster
from chaos.launcher import Settings
from chaos.producer import transition
from chaos.shim import Shim
from chaos.world import World

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(60)]

HOUR = 3600.0
STEPS = pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["an hour on", "an hour back"])
NEVER_PARKED = (1_000_000, 0.2, 1.0)

WAITING = 30
"""Deliveries that wait for about a quarter of an hour, each as drawn by lot between nothing and half an hour."""

FEW = 4
"""Of them, so many at most may happen to be due during the test."""

LOOKED_FOR = 3.0
"""Seconds after the step."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the sink saw in the seconds after the step: of what waits long, and of what waits for moments."""

    patient: int
    lively: int


@pytest.fixture
def step_clock(
    make_world: Callable[..., World], shim: Shim, until: Callable[..., None]
) -> Callable[..., tuple[World, Seen]]:
    def stepping(step: float, mutant: str = "", **store: object) -> tuple[World, Seen]:
        how = Settings(breaker=NEVER_PARKED, mutant=mutant)
        world = make_world(settings=how, environment=shim.environment, **store)
        world.nodes[0].declare(patient="30m")
        world.gateway.start()
        world.sink.behave("error")
        client = world.client()
        client.post([transition(f"wait-{n}", "clean") for n in range(WAITING)], "array")
        client.post([transition(f"soon-{n}", "load") for n in range(WAITING)], "array")
        until(lambda: attempts(world, "fickle") >= WAITING and attempts(world, "steady") >= 2 * WAITING)

        shim.set_clock(step)
        stepped = time.monotonic()
        until(lambda: time.monotonic() > stepped + LOOKED_FOR)
        client.post([transition("meanwhile", "load")])
        seen = Seen(tried_since(world, stepped, "fickle", "last"), tried_since(world, stepped, "steady"))
        world.sink.behave("ok")
        return world, seen

    return stepping


def attempts(world: World, *channels: str) -> int:
    return sum(one.channel in channels for one in list(world.sink.arrivals))


def tried_since(world: World, since: float, *channels: str) -> int:
    """How many different messages were tried."""
    return len({one.key for one in list(world.sink.arrivals) if one.at > since and one.channel in channels})


@STEPS
def test_a_step_of_the_clock_freezes_nothing_and_hurries_nothing(
    step_clock: Callable[..., tuple[World, Seen]], until: Callable[..., None], step: float
) -> None:
    world, seen = step_clock(step)

    assert seen.patient <= FEW
    assert seen.lively >= WAITING
    until(lambda: len({one.key for one in world.sink.taken("steady")}) == WAITING + 1, 10)
    world.gateway.end()
    world.check([one for one in world.findings() if one.rule != "I3"])


@STEPS
def test_on_postgresql_a_step_of_a_hosts_clock_means_nothing(
    step_clock: Callable[..., tuple[World, Seen]], cluster: Cluster, step: float
) -> None:
    url = cluster.create(f"clock_{uuid4().hex[:12]}")

    world, seen = step_clock(step, store=url, books=PostgresBooks(url))

    assert seen.patient <= FEW
    assert seen.lively >= WAITING
    world.gateway.end()
    world.check([one for one in world.findings() if one.rule != "I3"])


@STEPS
def test_a_gateway_that_does_not_follow_the_clock_is_seen(
    step_clock: Callable[..., tuple[World, Seen]], step: float
) -> None:
    _, seen = step_clock(step, "clock-not-followed")

    assert seen.patient > FEW if step > 0 else seen.lively < WAITING - FEW
