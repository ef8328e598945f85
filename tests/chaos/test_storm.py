"""The storm: everything goes wrong at once, for a while, and then the books are read."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from chaos.producer import transition
from chaos.world import Node, World

MORE_THAN_THE_GRACE_TIME = 300
"""Messages that take longer than a process that is ended may take."""

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(150)]


class Blows:
    """What happens to the gateways in a storm, drawn by lot."""

    def __init__(self, world: World) -> None:
        self._world, self._random = world, world.dice()
        self.versions = 0
        self.refused = 0

    def strike(self) -> None:
        """Let one thing happen."""
        node = self._random.choice(self._world.nodes)
        blows = (self.kill, self.kill, self.kill_while_starting, self.end, self.edit, self.edit, self.edit_badly)
        self._random.choice(blows)(node)

    def kill(self, node: Node) -> None:
        """SIGKILL, and a new start."""
        node.gateway.kill()
        node.gateway.start()

    def kill_while_starting(self, node: Node) -> None:
        """SIGKILL, and once more before it is ready."""
        node.gateway.kill()
        node.gateway.spawn()
        time.sleep(self._random.uniform(0.0, 1.0))
        node.gateway.kill()
        node.gateway.start()

    def end(self, node: Node) -> None:
        """SIGTERM, and a new start."""
        node.gateway.end()
        node.gateway.start()

    def edit(self, node: Node) -> None:
        """Another good version."""
        self.versions += 1
        node.declaration.write_good(node.gateway.port, f"v{self.versions}", self._random)

    def edit_badly(self, node: Node) -> None:
        """A bad version, for long enough to be seen, then a good one again: a start must not meet it."""
        node.declaration.write_bad(node.gateway.port, self._random)
        self.refused += 1
        time.sleep(self._random.uniform(0.5, 1.0))
        self.edit(node)


def test_an_end_in_the_middle_of_work_repeats_nothing(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.gateway.start()
    world.sink.delay = 0.1
    world.client().post([transition(f"t-{number:04}", "load") for number in range(MORE_THAN_THE_GRACE_TIME)], "array")

    world.gateway.end()
    left = world.books.owed()
    world.gateway.start()
    world.settle()
    world.gateway.end()

    assert left > 0
    world.check()


def test_after_the_storm_the_books_balance(make_world: Callable[..., World], storm_seconds: float) -> None:
    world = make_world()
    world.gateway.start()
    blows, dice = Blows(world), world.dice()
    world.start_producers()
    calm = world.start_weather()
    close_books = world.start_reading()
    until = time.monotonic() + storm_seconds
    while time.monotonic() < until:
        time.sleep(dice.uniform(0.2, 1.2))
        world.gateway.check_alive()
        blows.strike()
    calm()
    world.stop_producers()
    world.settle()
    close_books()
    world.gateway.end()

    world.check()
    print(world.summary(), blows.versions, blows.refused)
