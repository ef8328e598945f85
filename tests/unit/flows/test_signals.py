from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest

from gateway import signals, states

STATE_OF_SIGNAL = {
    signals.FAIL: states.Failed,
    signals.TRIGGERFAIL: states.TriggerFailed,
    signals.VALIDATIONFAIL: states.ValidationFailed,
    signals.SUCCESS: states.Success,
    signals.RETRY: states.Retrying,
    signals.SKIP: states.Skipped,
    signals.PAUSE: states.Paused,
}


@pytest.mark.parametrize("kind", STATE_OF_SIGNAL, ids=lambda kind: kind.__name__)
def test_a_signal_carries_its_state_with_itself_as_the_result(kind):
    signal = kind("why")

    assert type(signal.state) is STATE_OF_SIGNAL[kind]
    assert signal.state.message == str(signal) == "why"
    assert signal.state.result is signal


@pytest.mark.parametrize("kind", STATE_OF_SIGNAL, ids=lambda kind: kind.__name__)
def test_a_signal_needs_no_message(kind):
    assert (kind().state.message, str(kind())) == (None, "")


def test_attributes_set_on_a_signal_are_read_on_the_result():
    signal = signals.FAIL("disk is full")
    signal.free_bytes = 0

    assert signal.state.result.free_bytes == 0


def test_further_fields_go_to_the_state():
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)

    assert signals.RETRY("later", start_time=noon).state.start_time == noon
    assert signals.SUCCESS("done", result=None).state.result is None


def test_an_unknown_field_is_refused():
    with pytest.raises(TypeError, match="colour"):
        signals.FAIL("x", colour="red")


@pytest.mark.parametrize("kind", [*STATE_OF_SIGNAL, signals.ENDRUN], ids=lambda kind: kind.__name__)
def test_except_exception_does_not_swallow_a_signal(kind):
    assert issubclass(kind, BaseException)
    assert not issubclass(kind, Exception)


def test_the_special_failures_are_failures():
    assert issubclass(signals.TRIGGERFAIL, signals.FAIL)
    assert issubclass(signals.VALIDATIONFAIL, signals.FAIL)


def test_endrun_carries_the_state_it_is_given():
    state = states.Skipped("enough")

    assert signals.ENDRUN(state).state is state


def test_endrun_takes_nothing_but_a_state():
    with pytest.raises(TypeError, match="not a str"):
        signals.ENDRUN("enough")


def test_signals_survive_pickling_with_their_attributes():
    signal = signals.FAIL("why")
    signal.value = 3

    back = pickle.loads(pickle.dumps(signal))

    assert (str(back), back.value, back.state.message) == ("why", 3, "why")
    assert back.state.result is back
    assert pickle.loads(pickle.dumps(signals.ENDRUN(states.Failed("why")))).state.message == "why"
