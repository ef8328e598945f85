from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway import Flow, Task, signals, states, task
from gateway.context import context
from gateway.flows import Runner
from gateway.inprocess import observe
from gateway.transition import Transition

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_task_outside_a_run_is_known_by_its_own_attributes():
    load = Task("load", tags=["b", "a"], max_retries=2)

    transition = observe(load, states.Pending(), states.Running("go"))

    assert (transition.kind, transition.source) == ("task", "local")
    assert (transition.obj.name, transition.obj.tags, transition.obj.max_retries) == ("load", ("a", "b"), 2)
    assert (transition.obj.run_id, transition.obj.run_name, transition.flow.name) == ("", "load", "")
    assert (transition.old_state.type, transition.state.message) == ("Pending", "go")


def test_a_task_in_a_run_is_known_by_the_context():
    values = {
        "flow_name": "nightly",
        "flow_run_id": "17",
        "flow_run_name": "azure-fox",
        "task_run_id": "17/4",
        "task_full_name": "load[3]",
        "map_index": 3,
        "parameters": {"day": "monday"},
    }

    with context(**values):
        obj = observe(Task("load"), states.Pending(), states.Running()).obj

    assert (obj.name, obj.run_id, obj.run_name, obj.map_index) == ("load", "17/4", "load[3]", 3)
    assert (obj.flow.name, obj.flow.run_id, obj.flow.run_name) == ("nightly", "17", "azure-fox")
    assert obj.parameters == {"day": "monday"}


def test_without_a_task_run_id_one_is_made_of_the_flow_run_and_the_full_name():
    with context(flow_run_id="17", task_full_name="load[3]"):
        assert observe(Task("load"), None, states.Running()).obj.run_id == "17/load[3]"


@pytest.mark.parametrize(
    ("values", "run_id"),
    [
        ({}, "17/load-1"),
        ({"map_index": 3}, "17/load-1[3]"),
        ({"map_index": 3, "running_with_backend": True}, "99"),
    ],
)
def test_a_run_id_that_changes_with_every_attempt_is_replaced_by_a_lasting_one(values, run_id):
    with context(flow_run_id="17", task_run_id="99", task_slug="load-1", **values):
        assert observe(Task("load"), None, states.Running()).obj.run_id == run_id


def test_a_flow_is_known_by_itself_and_the_context():
    with context(flow_run_id="17", flow_run_name="azure-fox", parameters={"day": 1}, task_run_count=3):
        transition = observe(Flow("nightly"), None, states.Failed())

    assert (transition.kind, transition.task, transition.old_state) == ("flow", None, None)
    assert (transition.flow.name, transition.flow.run_id, transition.flow.run_name) == ("nightly", "17", "azure-fox")
    assert transition.flow.parameters == {"day": 1}
    assert transition.state.is_final()


@pytest.mark.parametrize(
    ("old", "attempt", "max_retries", "final"),
    [
        (states.Running(), 1, 0, True),
        (states.Running(), 1, 2, False),
        (states.Running(), 2, 2, False),
        (states.Running(), 3, 2, True),
        (None, 1, 2, False),
        (states.Pending(), 1, 2, True),
        (states.Retrying(), 2, 2, True),
    ],
)
def test_a_failure_is_final_if_retries_are_used_up_or_it_never_ran(old, attempt, max_retries, final):
    with context(task_run_count=attempt):
        transition = observe(Task("load", max_retries=max_retries), old, states.Failed())

    assert transition.state.is_final() is final


def test_the_failure_before_a_retry_was_not_final():
    transition = observe(Task("load", max_retries=1), states.Failed(), states.Retrying())

    assert not transition.old_state.is_final()


@pytest.mark.parametrize("known", [True, False])
def test_finality_told_by_the_engine_is_believed(known):
    transition = observe(Task("load", max_retries=0 if known else 5), states.Running(), states.Failed(final=not known))

    assert transition.state.is_final() is not known


def test_success_says_nothing_of_finality():
    assert observe(Task("load"), states.Running(), states.Success()).state.final is None


class Watch:
    """A state handler that keeps the transitions it observes."""

    def __init__(self) -> None:
        self.seen: list[Transition] = []

    def __call__(self, obj, old, new):
        # Finality forgotten, as other engines never note it.
        self.seen.append(observe(obj, old.replace(final=None), new.replace(final=None)))

    def finality(self):
        return [
            (transition.old_state.type, transition.state.type, transition.state.run_count, transition.state.is_final())
            for transition in self.seen
            if transition.state.is_failed() or transition.state.is_finished()
        ]


def run_with_failures(watch, *outcomes, max_retries=2):
    bodies = iter(outcomes)

    @task(name="load", state_handlers=[watch], max_retries=max_retries)
    def load():
        outcome = next(bodies)
        if isinstance(outcome, BaseException):
            raise outcome

    with Flow("nightly") as flow:
        load()
    return flow.run()


def test_of_three_failing_attempts_the_last_is_final():
    watch = Watch()

    run_with_failures(watch, ValueError(), ValueError(), ValueError())

    assert watch.finality() == [
        ("Running", "Failed", 1, False),
        ("Running", "Failed", 2, False),
        ("Running", "Failed", 3, True),
    ]


def test_a_failure_that_is_healed_by_a_retry_is_not_final():
    watch = Watch()

    run_with_failures(watch, ValueError(), None)

    assert watch.finality() == [("Running", "Failed", 1, False), ("Running", "Success", 2, True)]


def test_a_failed_trigger_raised_by_the_body_is_retried_like_any_failure():
    watch = Watch()

    run_with_failures(watch, signals.TRIGGERFAIL("no"), signals.TRIGGERFAIL("no"), max_retries=1)

    assert watch.finality() == [("Running", "TriggerFailed", 1, False), ("Running", "TriggerFailed", 2, True)]


def test_a_retry_asked_for_by_signal_uses_up_attempts():
    watch = Watch()

    run_with_failures(watch, signals.RETRY("again"), ValueError(), max_retries=1)

    assert watch.finality() == [("Running", "Failed", 2, True)]


def test_a_task_that_never_ran_is_final_at_once():
    watch = Watch()
    with Flow("nightly") as flow:
        before = task(lambda: 1 / 0, name="before")()
        Task("after", state_handlers=[watch], max_retries=2)(upstream_tasks=[before])

    flow.run()

    assert watch.finality() == [("Pending", "TriggerFailed", 1, True)]


def test_the_transitions_of_one_run_share_the_flow_run_and_differ_by_task():
    watch = Watch()
    flow = Flow("nightly", tasks=[Task("a", state_handlers=[watch]), Task("a", state_handlers=[watch])])

    Runner(flow).run({})

    assert len({transition.flow.run_id for transition in watch.seen}) == 1
    assert len({transition.obj.run_id for transition in watch.seen}) == 2
    assert len({transition.id for transition in watch.seen}) == 4


class Outcome:
    """Another engine's root of states."""

    def __init__(self, message=None, result=None):
        self.message, self.result = message, result


class Failed(Outcome):
    pass


class OutOfDisk(Failed):
    start_time = NOON
    run_count = 4


def test_a_state_of_another_engine_becomes_the_nearest_of_ours():
    state = observe(Task(), None, OutOfDisk(OSError("full"), 7)).state

    assert (type(state), state.name, state.message, state.result) == (states.Failed, "OutOfDisk", "full", 7)
    assert (state.start_time, state.run_count) == (NOON, 4)


def test_a_state_nobody_knows_is_just_a_state():
    assert type(observe(Task(), None, Outcome()).state) is states.State


class MyTaskRunner:
    task = Task("load")


class MyFlowRunner:
    flow = Flow("nightly")


def test_a_runner_stands_for_what_it_runs():
    assert observe(MyTaskRunner(), None, states.Running()).task.name == "load"
    assert observe(MyFlowRunner(), None, states.Running()).flow.name == "nightly"
    assert observe(MyFlowRunner(), None, states.Running()).kind == "flow"


def refuse(self, *_):
    raise RuntimeError("no")


class Refusing:
    """Raises, whatever is asked of it."""

    name = tags = max_retries = message = result = __class__ = property(refuse)
    __bool__ = __iter__ = __index__ = __str__ = refuse


class Made:
    """A task with anything for attributes."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


def test_an_object_that_raises_is_told_by_its_type():
    transition = observe(Refusing(), Refusing(), Refusing())

    assert (transition.obj.name, transition.obj.tags, transition.obj.max_retries) == ("Refusing", (), 0)
    assert (transition.state.type, transition.state.name) == ("State", "Refusing")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"name": 3}, ("3", (), 0)),
        ({"name": ["a"]}, ("['a']", (), 0)),
        ({"name": "a", "tags": ["b", 1, None]}, ("a", ("", "1", "b"), 0)),
        ({"name": "a", "tags": "prod"}, ("a", ("prod",), 0)),
        ({"name": "a", "tags": 5}, ("a", (), 0)),
        ({"name": "a", "tags": [["b"]]}, ("a", ("['b']",), 0)),
        ({"name": "a", "max_retries": "many"}, ("a", (), 0)),
        ({"name": "a", "max_retries": Refusing()}, ("a", (), 0)),
    ],
    ids=["number", "list", "mixed tags", "one tag", "tags a number", "tags lists", "retries text", "retries raise"],
)
def test_attributes_of_other_types_become_what_rules_expect(attributes, expected):
    obj = observe(Made(**attributes), states.Running(), states.Failed("m")).obj

    assert (obj.name, obj.tags, obj.max_retries) == expected


@pytest.mark.parametrize(
    "values",
    [
        {"parameters": 3},
        {"flow_name": 3, "flow_run_id": 5, "task_full_name": ["a"], "flow_tags": 7, "map_index": "x"},
        {"flow_name": Refusing(), "flow_run_id": Refusing(), "flow_tags": Refusing(), "parameters": Refusing()},
        {"task_run_count": "x"},
    ],
    ids=["parameters", "types", "objects that raise", "count"],
)
def test_a_context_of_other_types_fails_nothing(values):
    with context(**values):
        transition = observe(Task("load", max_retries=1), states.Running(), states.Failed("m", run_count="x"))

    obj, flow = transition.obj, transition.flow
    assert all(type(text) is str for text in (obj.run_id, obj.run_name, flow.name, flow.run_id, *flow.tags))
    assert (obj.parameters, obj.map_index, transition.state.final) == ({}, None, False)
