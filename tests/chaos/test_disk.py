"""The disk: an acknowledgement means that it was asked to make sure, and a full one loses nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from chaos.audit import Ledger, audit_running, ledger_balances
from chaos.launcher import Settings
from chaos.producer import transition
from chaos.shim import Shim
from chaos.world import World

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

REQUESTS = 100
FULL_AT = 6_000_000
"""Bytes of the largest file: more than an empty store and its log of changes need, and little more."""

LARGE = "x" * 20_000


@pytest.mark.parametrize(("sync", "synced"), [("full", True), ("normal", False)])
def test_every_acknowledgement_has_been_made_sure_of(
    make_world: Callable[..., World], shim: Shim, sync: str, synced: bool
) -> None:
    """One after the other, so that no two can share one write. With ``normal`` it is otherwise: the count counts."""
    world = make_world(sync=sync, settings=None, environment=shim.environment)
    world.gateway.start()
    client = world.client()
    client.post([transition("first", "idle")])
    before = shim.syncs

    for number in range(REQUESTS):
        client.post([transition(f"t-{number}", "idle")])

    assert (shim.syncs - before >= REQUESTS) is synced, f"{shim.syncs - before} for {REQUESTS} acknowledgements"
    world.gateway.end()
    world.check()


def test_a_full_disk_refuses_and_loses_nothing(make_world: Callable[..., World], until: Callable[..., None]) -> None:
    world = make_world(settings=Settings(file_limit=FULL_AT))
    world.gateway.start()
    world.sink.behave("error", "steady")
    client, number, deadline = world.client(), 0, time.monotonic() + 40
    while not world.log.refusals["503"]:
        assert time.monotonic() < deadline, "the disk was never full"
        client.post_once([transition(f"t-{number:04}", "load", LARGE)])
        number += 1
    world.start_producers(3)
    until(lambda: world.log.refusals["503"] > 20)
    assert not list(ledger_balances(told_by(world)))
    assert told_by(world)["failed-load", "steady"]["owed"] > 0
    assert audit_running(world.books.books()) == []

    world.gateway.kill()
    world.gateway.settings = Settings()
    world.gateway.start()
    world.stop_producers()
    world.settle()
    world.gateway.end()
    world.check()


def told_by(world: World) -> Ledger:
    ledger = world.gateway.ledger()
    assert ledger is not None, "a full disk must not keep it from telling"
    return ledger
