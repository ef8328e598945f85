"""Sample transitions cover what can happen, and are always the same."""

from __future__ import annotations

import pytest

from gateway.rules.samples import sample_transitions
from gateway.states import STATES
from gateway.transition import Kind


@pytest.mark.parametrize("on", ["task", "flow"])
def test_there_is_a_sample_into_every_state(on: Kind) -> None:
    samples = sample_transitions(on)

    assert {sample.kind for sample in samples} == {on}
    assert {sample.state.type for sample in samples} == set(STATES) - {"State"}
    assert any(sample.old_state is None for sample in samples)


def test_samples_are_the_same_every_time() -> None:
    first, second = sample_transitions(), sample_transitions()

    assert [sample.id for sample in first] == [sample.id for sample in second]
    assert len({sample.id for sample in first}) == len(first)
    assert {sample.occurred_at for sample in first} == {sample.occurred_at for sample in second}
