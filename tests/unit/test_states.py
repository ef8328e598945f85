from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway import states
from gateway.states import PREDICATES, SEVERITIES, STATES, State

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

PREDICATES_OF_CLASS = {
    "State": "",
    "Pending": "pending",
    "Scheduled": "pending scheduled",
    "Late": "pending scheduled late",
    "Paused": "pending scheduled paused",
    "Resume": "pending scheduled",
    "Retrying": "pending scheduled retrying",
    "ClientFailed": "meta_state",
    "Submitted": "meta_state submitted",
    "Queued": "meta_state queued scheduled",
    "Running": "running",
    "Cancelling": "running cancelling",
    "Finished": "finished",
    "Looped": "finished looped",
    "Success": "finished successful",
    "Cached": "finished successful cached",
    "Mapped": "finished successful mapped",
    "Skipped": "finished successful skipped",
    "Cancelled": "finished cancelled",
    "RolledBack": "finished rolled_back",
    "Failed": "finished failed",
    "TimedOut": "finished failed timed_out",
    "TriggerFailed": "finished failed trigger_failed",
    "ValidationFailed": "finished failed",
    "Crashed": "finished failed crashed",
    "Lost": "finished failed crashed lost",
}
WITH_START_TIME = {"Scheduled", "Late", "Resume", "Retrying", "Queued"}


def test_the_table_names_every_class():
    assert set(PREDICATES_OF_CLASS) == set(STATES)


@pytest.mark.parametrize("name", STATES)
def test_each_class_answers_each_predicate_as_the_table_says(name):
    state = STATES[name]()

    holding = {predicate for predicate in PREDICATES if getattr(state, f"is_{predicate}")()}

    assert holding == set(PREDICATES_OF_CLASS[name].split())


@pytest.mark.parametrize("name", STATES)
def test_the_predicates_by_type_agree_with_the_methods(name):
    holding = {predicate for predicate, types in PREDICATES.items() if name in types}

    assert holding == set(PREDICATES_OF_CLASS[name].split())


@pytest.mark.parametrize("name", STATES)
def test_every_class_is_public_typed_by_its_name_and_has_no_instance_dictionary(name):
    state = getattr(states, name)("why")

    assert (state.type, state.name, str(state)) == (name, name, f'{name}("why")')
    assert not hasattr(state, "__dict__")


@pytest.mark.parametrize("name", STATES)
def test_only_states_that_wait_for_a_time_have_a_start_time_by_default(name):
    state = STATES[name]()

    assert (state.start_time == state.timestamp) is (name in WITH_START_TIME)
    assert (state.start_time is None) is (name not in WITH_START_TIME)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (states.Pending(), "Pending()"),
        (states.Running("Running flow."), 'Running("Running flow.")'),
        (states.Failed(""), 'Failed("")'),
        (states.Failed('say "no"\n'), 'Failed("say "no"\n")'),
        (states.Failed(ValueError("odd")), 'Failed("odd")'),
    ],
)
def test_a_state_prints_its_class_and_message(state, text):
    assert str(state) == repr(state) == text


def test_defaults_are_empty_and_not_shared():
    first, second = State(), State()

    assert (first.message, first.result, first.start_time, first.run_count, first.final) == (None, None, None, 0, None)
    assert first.context == {}
    assert first.context is not second.context
    assert datetime.now(UTC) - first.timestamp < timedelta(minutes=1)


@pytest.mark.parametrize("result", [0, "", False, [], {}])
def test_a_falsy_result_is_kept(result):
    assert states.Success(result=result).result == result


def test_an_unknown_field_is_refused():
    with pytest.raises(TypeError, match="colour"):
        states.Failed("x", colour="red")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (datetime(2026, 3, 1, 12), NOON),  # noqa: DTZ001 - a naive time is the case
        (datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2))), NOON),
    ],
    ids=["naive", "elsewhere"],
)
def test_times_are_aware(given, kept):
    state = states.Scheduled(start_time=given, timestamp=given)

    assert (state.start_time, state.timestamp) == (kept, kept)


def test_a_retrying_state_counts_one_attempt_unless_told():
    assert states.Retrying().run_count == 1
    assert states.Retrying(run_count=3).run_count == 3


def test_a_paused_state_can_have_a_start_time():
    assert states.Paused(start_time=NOON).start_time == NOON


def test_a_meta_state_keeps_the_innermost_state():
    inner = states.Running("at work")

    assert states.Submitted(state=inner).state is inner
    assert states.Queued(state=states.Submitted(state=inner)).state is inner
    assert states.ClientFailed().state is None


def test_replace_changes_a_copy():
    state = states.Failed("first", 1, context={"tags": ["a"]}, start_time=NOON)

    changed = state.replace(message="second", run_count=2)

    assert (changed.message, changed.run_count, changed.result, changed.start_time) == ("second", 2, 1, NOON)
    assert type(changed) is states.Failed
    assert (state.message, state.run_count) == ("first", 0)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (states.Success("a", 1), states.Success("b", 1, run_count=3), True),
        (states.Success(result=1), states.Success(result=2), False),
        (states.Success(result=1), states.Cached(result=1), False),
        (states.Retrying(start_time=NOON), states.Retrying(start_time=NOON), True),
        (states.Retrying(start_time=NOON), states.Retrying(start_time=NOON + timedelta(seconds=1)), False),
        (states.Success(), "Success()", False),
    ],
)
def test_states_are_equal_by_class_result_and_start_time(one, other, equal):
    assert (one == other) is equal


def test_equal_states_are_still_different_keys():
    assert len({states.Success(result=[1]), states.Success(result=[1])}) == 2


@pytest.mark.parametrize(
    ("state", "final"),
    [
        (states.Success(), True),
        (states.Failed(), True),
        (states.Failed(final=False), False),
        (states.Failed(final=True), True),
        (states.Looped(), False),
        (states.Running(final=True), False),
        (states.Retrying(), False),
    ],
)
def test_final_is_finished_with_no_retry_known_to_follow(state, final):
    assert state.is_final() is final


def test_a_subclass_made_elsewhere_keeps_the_type_of_its_parent():
    class OutOfDisk(states.Failed):
        pass

    state = OutOfDisk("full")

    assert (state.type, state.name, str(state)) == ("Failed", "OutOfDisk", 'OutOfDisk("full")')
    assert "OutOfDisk" not in STATES


def test_a_state_survives_pickling():
    state = states.Retrying("later", {"a": 1}, start_time=NOON, run_count=2, context={"tags": ["x"]})

    back = pickle.loads(pickle.dumps(state))

    assert back == state
    assert (back.message, back.run_count, back.context) == ("later", 2, {"tags": ["x"]})


@pytest.mark.parametrize(
    ("severity", "names"),
    [
        ("failure", "Failed TimedOut TriggerFailed ValidationFailed Crashed Lost"),
        ("warning", "Retrying Late Cancelled Cancelling RolledBack ClientFailed"),
        ("success", "Success Cached Mapped Skipped"),
        ("info", "State Pending Scheduled Paused Resume Submitted Queued Running Finished Looped"),
    ],
)
def test_severity_follows_the_type(severity, names):
    assert {name for name, value in SEVERITIES.items() if value == severity} == set(names.split())


def test_a_subclass_made_elsewhere_cannot_name_a_type_that_rules_do_not_know():
    class Mixin:
        pass

    class OutOfDisk(Mixin, states.Failed):
        type = "OutOfDisk"

    assert OutOfDisk("full").type == "Failed"
