"""Flows with gateways of their own and a sidecar on one SQLite file: killed in turns, nothing is lost or damaged."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from chaos.flow_process import NODE_TTL
from chaos.gateway_process import TESTS
from chaos.launcher import Settings
from chaos.world import World

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]

KILLS = 3
FLOWS = 2


class Flow:
    """A process that is a flow and has its own gateway. What it prints, the log learns."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._errors = (world.folder / f"{name}.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "chaos.flow_process", name],
            cwd=world.folder / "node-0",
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.accepted = 0
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            what, id, task = line.split()
            item: dict[str, Any] = {"id": id, "obj": {"name": task}}
            if what == "begins":
                self._world.log.sending([item])
            else:
                self._world.log.answered([item], {"accepted": 1, "duplicates": 0})
                self.accepted += 1

    def kill(self) -> None:
        """SIGKILL; what it had printed is read to the end."""
        self._process.kill()
        self._process.wait()
        self._world.other_deaths.append(time.monotonic())
        self._listener.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()


def test_flows_and_a_sidecar_on_one_file_lose_nothing_and_damage_nothing(
    make_world: Callable[..., World], until: Callable[..., None]
) -> None:
    world = make_world(settings=Settings(node_ttl=NODE_TTL))
    world.gateway.start()
    world.start_producers(2)
    calm, dice = world.start_weather(), world.dice()
    flows = [Flow(world, f"{world.seed:x}-flow-{number}") for number in range(FLOWS)]
    close_books = world.start_reading()
    for kill in range(KILLS):
        until(lambda: all(flow.accepted > 10 for flow in flows))
        time.sleep(dice.uniform(0.1, 1.0))
        which = dice.randrange(FLOWS + 1)
        if which == FLOWS:
            world.gateway.kill()
            world.gateway.start()
        else:
            flows[which].kill()
            flows[which] = Flow(world, f"{world.seed:x}-flow-{FLOWS + kill}")
    for flow in flows:
        flow.kill()
    calm()
    world.stop_producers()
    world.settle()
    close_books()
    world.gateway.end()

    world.check()
