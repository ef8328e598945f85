"""Two gateways on one PostgreSQL: killed, stopped for longer than their lease, and left without their database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from uuid import uuid4

import pytest

from chaos.books import PostgresBooks
from chaos.cluster import Cluster
from chaos.launcher import Settings
from chaos.producer import transition
from chaos.world import Node, World

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(150)]

NODE_TTL = 2.0
BEYOND_THE_LEASE = 1.7 * NODE_TTL
QUEUED = 150


@pytest.fixture
def two_nodes(make_world: Callable[..., World], cluster: Cluster) -> Callable[..., World]:
    """Makes a world of two gateways on a database of their own, and starts them."""

    def starting(**settings: object) -> World:
        url = cluster.create(f"chaos_{uuid4().hex[:12]}")
        how = Settings(node_ttl=NODE_TTL, **settings)
        world = make_world(nodes=2, store=url, books=PostgresBooks(url), settings=how)
        for node in world.nodes:
            node.gateway.start()
        return world

    return starting


class Blows:
    """What happens to two nodes and their database in a storm, drawn by lot."""

    def __init__(self, world: World, cluster: Cluster, random: Random) -> None:
        self._world, self._cluster, self._random = world, cluster, random

    def strike(self) -> None:
        """Let one thing happen."""
        blows = (self.kill, self.kill, self.stop_beyond_the_lease, self.end, self.restart_database)
        self._random.choice(blows)(self._random.choice(self._world.nodes))

    def kill(self, node: Node) -> None:
        """SIGKILL, and a new start."""
        node.gateway.kill()
        node.gateway.start()

    def end(self, node: Node) -> None:
        """SIGTERM, and a new start."""
        node.gateway.end()
        node.gateway.start()

    def stop_beyond_the_lease(self, node: Node) -> None:
        """SIGSTOP until the other must have taken over, then SIGCONT."""
        node.gateway.stop()
        time.sleep(BEYOND_THE_LEASE)
        node.gateway.go_on()

    def restart_database(self, node: Node) -> None:
        """An end or a crash of the server, and some time without."""
        with self.no_database():
            time.sleep(self._random.uniform(0.0, 2.0))

    @contextmanager
    def no_database(self) -> Iterator[None]:
        """An end or a crash of the server, and a start at the end of the block."""
        self._lose_hold()
        self._cluster.stop(self._random.choice(("fast", "immediate")))
        try:
            yield
        finally:
            self._cluster.start()
            self._lose_hold()  # what was sent in the meantime could not be recorded

    def _lose_hold(self) -> None:
        for node in self._world.nodes:
            node.gateway.lose_hold()


def test_two_nodes_in_a_storm_lose_nothing(
    two_nodes: Callable[..., World], cluster: Cluster, storm_seconds: float
) -> None:
    world = two_nodes()
    dice = world.dice()
    blows = Blows(world, cluster, world.dice())
    world.start_producers()
    calm = world.start_weather()
    close_books = world.start_reading()
    until = time.monotonic() + storm_seconds
    blows.stop_beyond_the_lease(world.nodes[0])
    blows.restart_database(world.nodes[0])
    while time.monotonic() < until:
        time.sleep(dice.uniform(0.3, 1.5))
        for node in world.nodes:
            node.gateway.check_alive()
        blows.strike()
    calm()
    world.stop_producers()
    world.settle()
    close_books()
    for node in world.nodes:
        node.gateway.end()

    world.check()
    print(world.summary())


def test_nodes_that_are_ended_while_their_database_is_away_lose_nothing(
    two_nodes: Callable[..., World], cluster: Cluster
) -> None:
    world = two_nodes()
    blows = Blows(world, cluster, world.dice())
    world.sink.behave("hang")
    world.client().post([transition(f"t-{number:03}", "load") for number in range(50)], "array")
    with blows.no_database():
        for node in world.nodes:
            node.gateway.end()
    for node in world.nodes:
        node.gateway.start()
    world.settle()
    for node in world.nodes:
        node.gateway.end()

    world.check()


@pytest.fixture
def resume(two_nodes: Callable[..., World], until: Callable[..., None]) -> Callable[[str], World]:
    """Stops a node with a full queue until the other has sent all of it, lets it go on, and ends both."""

    def resuming(mutant: str) -> World:
        world = two_nodes(mutant=mutant)
        stopped, other = world.nodes
        world.sink.behave("hang")
        client = world.client_of(stopped)
        for number in range(0, QUEUED, 50):
            client.post([transition(f"t-{n:03}", "load") for n in range(number, number + 50)], "array")
        stopped.gateway.stop()
        world.sink.behave("ok")
        until(lambda: not world.books.owed(), 30)
        assert sent_twice(world) == 0
        stopped.gateway.go_on()
        until(lambda: "a record came too late" in stopped.gateway.said())
        for node in (stopped, other):
            node.gateway.end()
        return world

    return resuming


def sent_twice(world: World) -> int:
    """How many messages the sink has taken again."""
    taken = [one.key for one in world.sink.taken()]
    return len(taken) - len(set(taken))


def test_a_node_that_slept_beyond_its_lease_sends_nothing_of_what_it_held(resume: Callable[[str], World]) -> None:
    world = resume("")

    assert sent_twice(world) == 0
    world.check()


def test_a_node_that_sends_what_it_holds_no_longer_is_seen(resume: Callable[[str], World]) -> None:
    assert sent_twice(resume("no-fence")) > 0
