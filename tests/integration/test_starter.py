"""The starting configuration is good as it is."""

from __future__ import annotations

from pathlib import Path

from gateway.reload import Builder
from gateway.rules.samples import sample_transitions

CONFIG = Path(__file__).parents[2] / "config"


def test_it_loads_without_a_secret_and_without_a_warning() -> None:
    compiled = Builder(CONFIG).build()

    assert compiled.problems == ()
    assert compiled.ruleset is not None
    assert len(compiled.ruleset.handlers) == 5


def test_every_handler_renders_every_sample_it_fires_for() -> None:
    ruleset = Builder(CONFIG, connect=False).build().ruleset
    assert ruleset is not None

    fired = {
        handler.name
        for sample in sample_transitions()
        for handler in ruleset.match(sample)
        if handler.render(sample, "text").message
    }

    assert fired >= {"task-retrying", "task-failed", "flow-finished", "every-success"}
