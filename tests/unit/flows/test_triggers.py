from __future__ import annotations

import pickle

import pytest

from gateway import context, signals, states, triggers

S, F, K, C = states.Success(), states.Failed(), states.Skipped(), states.Cancelled()
MIXES = {
    "none": [],
    "all well": [S, S],
    "mixed": [S, F],
    "all failed": [F, F],
    "one skipped": [K, S],
    "all skipped": [K, K],
    "cancelled": [C],
}


def upstream(names):
    return dict(enumerate(MIXES[names]))


@pytest.mark.parametrize(
    ("trigger", "met", "reason"),
    [
        ("all_successful", "none|all well|one skipped|all skipped", "some of the upstream tasks failed"),
        ("all_failed", "none|all failed", "some of the upstream tasks succeeded"),
        (
            "any_successful",
            "none|all well|mixed|one skipped|all skipped",
            "none of the upstream tasks succeeded",
        ),
        ("any_failed", "none|mixed|all failed", "none of the upstream tasks failed"),
        ("all_finished", "|".join(MIXES), ""),
    ],
)
@pytest.mark.parametrize("mix", MIXES)
def test_a_trigger_is_met_or_fails_with_its_reason(trigger, met, reason, mix):
    ask = getattr(triggers, trigger)

    if mix in met.split("|"):
        assert ask(upstream(mix)) is True
    else:
        with pytest.raises(signals.TRIGGERFAIL) as raised:
            ask(upstream(mix))
        assert str(raised.value) == f'Trigger was "{trigger}" but {reason}.'


def test_always_run_is_all_finished():
    assert triggers.always_run is triggers.all_finished


def test_all_finished_fails_before_the_end():
    with pytest.raises(signals.TRIGGERFAIL, match="not finished"):
        triggers.all_finished({1: states.Running()})


@pytest.mark.parametrize(
    ("mix", "outcome"),
    [
        ("none", None),
        ("all well", None),
        ("one skipped", None),
        ("mixed", signals.TRIGGERFAIL),
        ("all failed", signals.TRIGGERFAIL),
        ("cancelled", signals.TRIGGERFAIL),
        ("all skipped", signals.SKIP),
    ],
)
def test_not_all_skipped_skips_if_all_were_and_fails_if_one_failed(mix, outcome):
    if outcome is None:
        assert triggers.not_all_skipped(upstream(mix)) is True
    else:
        with pytest.raises(outcome):
            triggers.not_all_skipped(upstream(mix))


@pytest.mark.parametrize(
    ("make", "mix", "met"),
    [
        (lambda: triggers.some_failed(at_least=1), "mixed", True),
        (lambda: triggers.some_failed(at_least=2), "mixed", False),
        (lambda: triggers.some_failed(at_most=0), "mixed", False),
        (lambda: triggers.some_failed(at_most=0), "all well", True),
        (lambda: triggers.some_failed(at_least=0.5, at_most=0.5), "mixed", True),
        (lambda: triggers.some_failed(at_least=0.6), "mixed", False),
        (lambda: triggers.some_failed(at_least=1.0), "all failed", True),
        (lambda: triggers.some_failed(at_least=1), "none", True),
        (lambda: triggers.some_successful(at_least=1), "mixed", True),
        (lambda: triggers.some_successful(at_least=2), "mixed", False),
        (lambda: triggers.some_successful(at_least=0.5), "one skipped", True),
    ],
)
def test_some_bounds_a_number_or_a_share_of_tasks(make, mix, met):
    trigger = make()

    if met:
        assert trigger(upstream(mix)) is True
    else:
        with pytest.raises(signals.TRIGGERFAIL, match=r'^Trigger was "some_.*" but thresholds were not met\.$'):
            trigger(upstream(mix))


@pytest.mark.parametrize("bounds", [{}, {"at_least": -1}, {"at_most": 1.5}], ids=str)
@pytest.mark.parametrize("factory", [triggers.some_failed, triggers.some_successful])
def test_bounds_that_mean_nothing_are_refused(factory, bounds):
    with pytest.raises(ValueError, match="some_"):
        factory(**bounds)


def test_a_made_trigger_survives_pickling():
    assert pickle.loads(pickle.dumps(triggers.some_failed(at_least=1)))(upstream("mixed")) is True


def test_manual_only_pauses_unless_the_task_is_resumed():
    with pytest.raises(signals.PAUSE, match="manual_only"):
        triggers.manual_only({})

    with context(resume=True):
        assert triggers.manual_only({}) is True
