"""What the outcome of a state handler does to the run it is attached to."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway import Flow, Task, context, signals, states, task
from gateway.flows import Runner

ODD = ValueError("odd")


def answering(kind, answer, times=1):
    """A handler that answers a change to ``kind`` so many times: returns a state, raises an exception."""
    left = [answer] * times

    def handler(obj, old, new):
        if type(new) is not kind or not left:
            return None
        outcome = left.pop()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return handler


class Body:
    """The body of a task; counts how often it ran, fails the first ``failures`` times."""

    def __init__(self, failures=0):
        self.ran, self.failures = 0, failures

    def __call__(self):
        self.ran += 1
        if self.ran <= self.failures:
            raise ODD
        return self.ran


class Scene:
    """One task with two watchers around the handler under test, in a flow that is watched as well."""

    def __init__(self, handler, clock, new_watch, *, failures=0, **options):
        self.body, self.failed = Body(failures), []
        self.before, self.after, self.flow_watch = new_watch(), new_watch(), new_watch()
        self.task = task(
            self.body,
            name="load",
            state_handlers=[self.before, handler, self.after],
            on_failure=lambda obj, state: self.failed.append(state),
            **options,
        )
        flow = Flow("f", tasks=[self.task], state_handlers=[self.flow_watch])
        self.flow_state = Runner(flow, clock=clock).run({})
        self.state = self.flow_state.result[self.task]


@pytest.fixture
def scene(clock, watch):
    return lambda handler, **options: Scene(handler, clock, type(watch), **options)


@pytest.mark.parametrize("falsy", [None, False, 0, ""], ids=repr)
def test_a_falsy_answer_changes_nothing(falsy, scene):
    made = scene(lambda *_: falsy)

    assert made.after.steps == ["Pending > Running", "Running > Success"]
    assert made.state.is_successful()


REPLACEMENTS = {
    # name: (changes to, answer, options, what the later handler sees, ends as, body ran)
    "skip before it runs": (
        states.Running,
        states.Skipped("not today"),
        {},
        ["Pending > Skipped"],
        "Skipped",
        0,
    ),
    "failure before it runs is not retried": (
        states.Running,
        states.Failed("no"),
        {"max_retries": 2},
        ["Pending > Failed"],
        "Failed",
        0,
    ),
    "veto of a success is retried": (
        states.Success,
        states.Failed("veto"),
        {"max_retries": 1},
        ["Pending > Running", "Running > Failed", "Failed > Retrying", "Retrying > Running", "Running > Success"],
        "Success",
        2,
    ),
    "veto without retries": (
        states.Success,
        states.Failed("veto"),
        {},
        ["Pending > Running", "Running > Failed"],
        "Failed",
        1,
    ),
    "rescue of a failure is not retried": (
        states.Failed,
        states.Success("rescued"),
        {"failures": 1, "max_retries": 2},
        ["Pending > Running", "Running > Success"],
        "Success",
        1,
    ),
    "retry of a failure that has none left": (
        states.Failed,
        states.Retrying("again"),
        {"failures": 1},
        ["Pending > Running", "Running > Retrying", "Retrying > Running", "Running > Success"],
        "Success",
        2,
    ),
    "end in place of a retry": (
        states.Retrying,
        states.Cancelled("enough"),
        {"failures": 1, "max_retries": 2},
        ["Pending > Running", "Running > Failed", "Failed > Cancelled"],
        "Cancelled",
        1,
    ),
}


@pytest.mark.parametrize("name", REPLACEMENTS)
def test_a_returned_state_takes_the_place_of_the_proposed_one(name, scene):
    kind, answer, options, later, ends_as, ran = REPLACEMENTS[name]

    made = scene(answering(kind, answer), **options)

    assert made.after.steps == later
    assert (made.state.type, made.body.ran) == (ends_as, ran)


def test_handlers_are_not_called_again_for_a_replacement(scene):
    made = scene(answering(states.Running, states.Skipped("not today")))

    assert made.before.steps == ["Pending > Running"]


def test_on_failure_sees_the_replacement(scene):
    veto = states.Failed("veto")

    assert scene(answering(states.Success, veto)).failed == [veto]
    assert scene(answering(states.Failed, states.Success()), failures=1).failed == []


def test_on_failure_is_called_for_every_failed_attempt(scene):
    made = scene(lambda *_: None, failures=3, max_retries=2)

    assert [(state.run_count, state.final) for state in made.failed] == [(1, False), (2, False), (3, True)]


def test_a_state_changed_in_place_is_seen_by_all_later_readers(scene):
    def sign(obj, old, new):
        new.message = f"{new.message} (seen)"

    made = scene(sign)

    assert [str(state.message) for state in made.after.states] == [
        "Starting task run. (seen)",
        "Task run succeeded. (seen)",
    ]
    assert made.state.message == "Task run succeeded. (seen)"


async def asynchronous(obj, old, new):
    return new


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda *_: 1, "returned an object of type int; right is a state or None"),
        (lambda *_: [states.Failed()], "returned an object of type list; right is a state or None"),
        (asynchronous, "the state handler asynchronous is an async function; state handlers are plain functions"),
    ],
    ids=["number", "list", "coroutine"],
)
def test_an_answer_that_is_no_state_fails_the_run_and_says_so(answer, message, scene):
    made = scene(answer, max_retries=2)

    assert made.state.is_failed()
    assert message in made.state.message
    assert isinstance(made.state.result, TypeError)
    assert (made.body.ran, made.after.calls) == (0, [])


@pytest.mark.parametrize("kind", [states.Running, states.Success])
def test_a_broken_handler_fails_the_run_at_once_and_nobody_is_told(kind, scene):
    error = KeyError("channel")

    made = scene(answering(kind, error), max_retries=2)

    assert made.state.message == "Unexpected error while calling state handlers: KeyError('channel')"
    assert (made.state.type, made.state.result, made.state.final) == ("Failed", error, True)
    assert made.before.steps[-1] == ("Pending > Running" if kind is states.Running else "Running > Success")
    assert len(made.after.steps) == len(made.before.steps) - 1
    assert made.failed == []
    assert made.body.ran == (kind is states.Success)


def test_a_broken_handler_of_a_task_fails_the_flow_whose_handlers_are_told(scene):
    made = scene(answering(states.Success, OSError("no network")))

    assert made.flow_watch.steps == ["Scheduled > Running", "Running > Failed"]
    assert made.flow_state.message == "Some reference tasks failed."


def test_a_broken_handler_is_logged_without_the_text_of_its_error(scene, caplog):
    with caplog.at_level(logging.ERROR):
        scene(answering(states.Success, OSError("https://hooks.example/s3cr3t")))

    (record,) = caplog.records
    assert record.getMessage() == "a state handler of <Task: load> raised OSError; see the result of its state"
    assert record.exc_info is None


SIGNALLED = {
    # name: (changes to, signal, options, all that the handler before it sees, ends as, body ran)
    "FAIL before it runs": (
        states.Running,
        signals.FAIL("no"),
        {"max_retries": 2},
        ["Pending > Running"],
        "Failed",
        0,
    ),
    "SKIP before it runs": (states.Running, signals.SKIP("no"), {}, ["Pending > Running"], "Skipped", 0),
    "SUCCESS before it runs": (states.Running, signals.SUCCESS("done"), {}, ["Pending > Running"], "Success", 0),
    "VALIDATIONFAIL after it ran": (
        states.Success,
        signals.VALIDATIONFAIL("no"),
        {},
        ["Pending > Running", "Running > Success"],
        "ValidationFailed",
        1,
    ),
    "FAIL after it ran is retried": (
        states.Success,
        signals.FAIL("no"),
        {"max_retries": 1},
        ["Pending > Running", "Running > Success", "Failed > Retrying", "Retrying > Running", "Running > Success"],
        "Success",
        2,
    ),
    "RETRY runs it again": (
        states.Success,
        signals.RETRY("again"),
        {},
        ["Pending > Running", "Running > Success", "Retrying > Running", "Running > Success"],
        "Success",
        2,
    ),
    "PAUSE": (states.Running, signals.PAUSE("wait"), {}, ["Pending > Running"], "Paused", 0),
    "ENDRUN ends it without a retry": (
        states.Success,
        signals.ENDRUN(states.Failed("over")),
        {"max_retries": 2},
        ["Pending > Running", "Running > Success"],
        "Failed",
        1,
    ),
    "FAIL in place of a retry": (
        states.Retrying,
        signals.FAIL("enough"),
        {"failures": 1, "max_retries": 2},
        ["Pending > Running", "Running > Failed", "Failed > Retrying"],
        "Failed",
        1,
    ),
}


@pytest.mark.parametrize("name", SIGNALLED)
def test_a_raised_signal_gives_its_state_and_skips_later_handlers(name, scene):
    kind, signal, options, seen, ends_as, ran = SIGNALLED[name]

    made = scene(answering(kind, signal), **options)

    assert made.before.steps == seen
    assert len(made.after.steps) == len(seen) - 1
    assert (made.state.type, made.body.ran) == (ends_as, ran)
    assert made.state.run_count >= 1


def test_a_failure_raised_by_a_handler_is_noted_as_final_or_not(scene):
    retried = scene(answering(states.Success, signals.FAIL("no")), max_retries=1)
    never_ran = scene(answering(states.Running, signals.FAIL("no")), max_retries=1)

    _, failed, retrying = retried.before.calls[2]
    assert (failed.type, failed.final, retrying.type) == ("Failed", False, "Retrying")
    assert never_ran.state.final is True


def test_attributes_of_a_signal_raised_by_a_handler_reach_the_result(scene):
    signal = signals.FAIL("no")
    signal.reason = "quota"

    assert scene(answering(states.Success, signal)).state.result.reason == "quota"


@pytest.mark.parametrize(
    "escaping", [KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError()], ids=lambda error: type(error).__name__
)
def test_what_is_neither_error_nor_signal_escapes_the_run(escaping, scene):
    with pytest.raises(type(escaping)):
        scene(answering(states.Success, escaping))

    assert dict(context) == {}


@pytest.mark.parametrize("stuck", [states.Running("still"), states.Pending("wait"), states.Submitted()], ids=str)
def test_a_state_from_which_nothing_leads_on_is_a_failure_not_a_hang(stuck, scene):
    made = scene(answering(states.Success, stuck))

    assert made.state.is_failed()
    assert str(stuck) in made.state.message
    assert made.flow_state.is_failed()


def test_a_trigger_failure_can_be_rescued(clock, watch):
    with Flow("f") as flow:
        broken = task(Body(failures=9), name="broken")()
        after = Task("after", state_handlers=[answering(states.TriggerFailed, states.Success("never mind")), watch])(
            upstream_tasks=[broken]
        )

    state = Runner(flow, clock=clock).run({})

    assert state.is_successful()
    assert state.result[after].message == "never mind"
    assert watch.steps == ["Pending > Success"]


def run_flow(handler, watch, clock, body=None):
    runner = Runner(
        Flow("f", tasks=[task(body or Body(), name="load")], state_handlers=[handler, watch]),
        clock=clock,
    )
    return runner, runner.run({})


@pytest.mark.parametrize(("kind", "ran"), [(states.Running, 0), (states.Success, 1)])
def test_a_broken_handler_of_a_flow_fails_the_flow(kind, ran, watch, clock):
    body, error = Body(), KeyError("channel")

    runner, state = run_flow(answering(kind, error), watch, clock, body)

    assert (state.type, state.result) == ("Failed", error)
    assert state.message == "Unexpected error while calling state handlers: KeyError('channel')"
    assert body.ran == ran
    assert len(watch.calls) == ran
    assert len(runner.states) == 1


FLOW_OUTCOMES = [
    (states.Running, signals.FAIL("no"), "Failed", 0),
    (states.Running, signals.SKIP("no"), "Skipped", 0),
    (states.Success, signals.FAIL("no"), "Failed", 1),
    (states.Success, signals.PAUSE("wait"), "Paused", 1),
    (states.Success, signals.ENDRUN(states.Cancelled("enough")), "Cancelled", 1),
    (states.Running, states.Skipped("not today"), "Skipped", 0),
    (states.Success, states.Failed("veto", result="no mapping"), "Failed", 1),
]


@pytest.mark.parametrize(
    ("kind", "answer", "ends_as", "ran"), FLOW_OUTCOMES, ids=[f"{k.__name__}-{a!r}" for k, a, *_ in FLOW_OUTCOMES]
)
def test_what_a_flows_handler_raises_or_returns_is_how_the_flow_stands(kind, answer, ends_as, ran, watch, clock):
    body = Body()

    runner, state = run_flow(answering(kind, answer), watch, clock, body)

    assert (state.type, body.ran) == (ends_as, ran)
    assert [state.type for state in runner.states.values()] == ["Success" if ran else "Pending"]


def test_on_failure_of_a_flow_is_called_with_flow_and_state(clock):
    told = []
    flow = Flow("f", tasks=[task(Body(failures=9))], on_failure=lambda obj, state: told.append((obj, state)))

    state = Runner(flow, clock=clock).run({})

    assert told == [(flow, state)]
