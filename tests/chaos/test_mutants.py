"""The suite can see: five planted bugs, each caught by the rule that is there for it; without the bug the same scene
ends well.

Each scene stops the gateway at the moment that matters, so nothing here depends on luck.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaos.audit import Broken
from chaos.launcher import Pauses, Settings
from chaos.mutants import BETWEEN, SENDING, SENT, WRITTEN
from chaos.producer import Client, transition
from chaos.world import World

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(60)]

ENOUGH_SECONDS = 4.0
"""For what is owed to be delivered when nothing is in its way."""


class Stage:
    """A world whose gateway can be stopped at points.

    Attributes:
        patience: seconds to wait for an answer that should not come.
    """

    def __init__(self, world: World, pauses: Pauses, until: Callable[..., None], patience: float) -> None:
        self.world, self.pauses, self._until = world, pauses, until
        self.patience = patience
        self.world.sink.behave("ok")

    def post_until(self, point: str, *tasks: str) -> Client:
        """Post transitions in one request, and wait until the gateway stands at ``point`` because of it."""
        self.pauses.set(point)
        client = self.world.client()
        client.begin([transition(f"{task}-1", task) for task in tasks], "array")
        self._until(lambda: self.pauses.reached(point))
        return client

    def die_and_start_again(self, point: str) -> None:
        """Kill the gateway that stands at ``point``, and start another."""
        self.world.gateway.kill()
        self.pauses.lift(point)
        self.world.gateway.start()

    def findings(self) -> list[Broken]:
        """What is broken, once all is delivered that can be."""
        self.world.settle(ENOUGH_SECONDS)
        self.world.gateway.end()
        return self.world.findings()


def killed_before_the_commit(stage: Stage) -> None:
    """A producer that has its answer does not ask again; one that has none does."""
    client = stage.post_until(WRITTEN, "load")
    answered = client.answered_within(stage.patience)
    stage.die_and_start_again(WRITTEN)
    if not answered:
        client.post([transition("load-1", "load")])


def killed_between_the_rows(stage: Stage) -> None:
    client = stage.post_until(BETWEEN, "load")
    stage.die_and_start_again(BETWEEN)
    client.post([transition("load-1", "load")])


def killed_before_the_message_left(stage: Stage) -> None:
    client = stage.post_until(SENDING, "load")
    assert client.answered_within(5.0)
    stage.die_and_start_again(SENDING)


def killed_before_it_was_recorded(stage: Stage) -> None:
    client = stage.post_until(SENT, "load")
    assert client.answered_within(5.0)
    stage.die_and_start_again(SENT)


def repeated(stage: Stage) -> None:
    """The answer was lost, or the producer thinks so."""
    for _ in range(2):
        stage.world.client().post([transition("load-1", "load")])


@dataclass(frozen=True, slots=True)
class Scene:
    """What happens, and the rules that the bug must be seen to break."""

    play: Callable[[Stage], None]
    broken: frozenset[str]


SCENES = {
    "acknowledge-before-commit": Scene(killed_before_the_commit, frozenset({"I1"})),
    "two-transactions": Scene(killed_between_the_rows, frozenset({"I2"})),
    "finish-before-send": Scene(killed_before_the_message_left, frozenset({"I4"})),
    "no-claim-recovery": Scene(killed_before_it_was_recorded, frozenset({"I3"})),
    "no-duplicate-check": Scene(repeated, frozenset({"I2"})),
}


@pytest.fixture
def set_stage(make_world: Callable[..., World], until: Callable[..., None], tmp_path: Path) -> Callable[[str], Stage]:
    def setting(mutant: str) -> Stage:
        pauses = Pauses(tmp_path / "pauses")
        world = make_world(settings=Settings(mutant=mutant, pauses=str(tmp_path / "pauses")))
        world.gateway.start()
        return Stage(world, pauses, until, patience=10.0 if mutant else 1.0)

    return setting


@pytest.mark.parametrize("mutant", SCENES)
def test_a_planted_bug_is_seen(set_stage: Callable[[str], Stage], mutant: str) -> None:
    stage = set_stage(mutant)
    SCENES[mutant].play(stage)

    found = stage.findings()

    assert SCENES[mutant].broken <= {broken.rule for broken in found}, stage.world.report(found)


@pytest.mark.parametrize("scene", SCENES)
def test_without_the_bug_the_same_scene_ends_well(set_stage: Callable[[str], Stage], scene: str) -> None:
    stage = set_stage("")
    SCENES[scene].play(stage)

    stage.world.check(stage.findings())
