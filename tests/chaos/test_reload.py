"""Edits under load: good ones take effect and disturb nobody, bad ones change nothing, and no pause is forgotten."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from chaos.audit import Broken, pauses_are_kept
from chaos.launcher import Settings
from chaos.sink import PAUSE_SECONDS
from chaos.world import World

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(60)]

EDITS = 4
SLACK = 0.8
"""Seconds granted to a message that was on its way when the pause was asked for."""


def test_edits_under_load_lose_nothing_repeat_nothing_and_break_no_connection(
    make_world: Callable[..., World], until: Callable[..., None]
) -> None:
    world = make_world()
    world.gateway.start()
    world.start_producers()
    node, dice = world.nodes[0], world.dice()
    for version in (f"v{number}" for number in range(1, EDITS + 1)):
        node.declaration.write_good(node.gateway.port, version, dice)
        until(lambda v=version: said_last(world, v))
        node.declaration.write_bad(node.gateway.port, dice)
        until(lambda n=int(version[1:]): world.gateway.said().count("refused") >= n)
        status, told = world.gateway.ask("POST", "/api/v1/reload")
        assert (status, told.get("accepted")) == (422, False), told
        number = len(world.sink.arrivals)
        until(lambda n=number: len(world.sink.arrivals) > n + 20)
        assert said_last(world, version)
    node.declare("last")
    until(lambda: said_last(world, "last"))
    world.stop_producers()
    world.settle()
    world.gateway.end()

    world.check()
    assert not world.log.refusals, world.report([])


def said_last(world: World, version: str) -> bool:
    return bool(world.sink.arrivals) and world.sink.arrivals[-1].text.startswith(f"{version} ")


@pytest.fixture
def ask_for_a_pause(make_world: Callable[..., World], until: Callable[..., None]) -> Callable[..., list[Broken]]:
    """Asks for a pause in the middle of traffic; returns how it was broken."""

    def asking(mutant: str = "", rate: str = "1000/1s") -> list[Broken]:
        world = make_world(settings=Settings(mutant=mutant))
        world.gateway.start()
        world.start_producers(3)
        until(lambda: len(world.sink.taken("steady")) > 10)
        world.sink.behave("pause", "steady")
        until(lambda: any(one.paused_until for one in world.sink.arrivals))
        world.sink.behave("ok", "steady")
        world.nodes[0].declare("v1", rate=rate)
        over = time.monotonic() + PAUSE_SECONDS
        until(lambda: any(one.channel == "steady" and one.at > over for one in world.sink.arrivals))
        world.stop_producers()
        world.settle()
        world.gateway.end()
        world.check()
        return pauses_are_kept(world.sink.arrivals, world.gateway.starts, SLACK)

    return asking


def test_a_channel_that_asks_for_a_pause_gets_it(ask_for_a_pause: Callable[..., list[Broken]]) -> None:
    assert ask_for_a_pause() == []


def test_an_edit_of_its_rate_does_not_end_the_pause(ask_for_a_pause: Callable[..., list[Broken]]) -> None:
    assert ask_for_a_pause(rate="500/1s") == []


def test_a_gateway_that_makes_no_pause_is_seen(ask_for_a_pause: Callable[..., list[Broken]]) -> None:
    assert [broken.rule for broken in ask_for_a_pause("no-pause")] == ["Retry-After"]
