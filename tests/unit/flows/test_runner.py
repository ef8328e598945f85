from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from gateway import Flow, Parameter, Task, context, signals, states, task, triggers
from gateway.flows import Runner

RETRY_LATER = signals.RETRY("later", start_time=datetime(2026, 3, 1, 13, tzinfo=UTC))


def body(*outcomes):
    """A function that raises or returns its outcomes in turn, the last one for ever."""
    left = list(outcomes)

    def act():
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return act


def run(flow, clock, **parameters):
    return Runner(flow, clock=clock).run(parameters)


P, R, OK, X, RT = "Pending", "Running", "Success", "Failed", "Retrying"


def steps(*names):
    return [f"{old} > {new}" for old, new in pairwise(names)]


SEQUENCES = {
    "success": ([1], {}, steps(P, R, OK)),
    "exception": ([ValueError()], {}, steps(P, R, X)),
    "retry, then well": ([ValueError(), 1], {"max_retries": 2}, steps(P, R, X, RT, R, OK)),
    "retries used up": ([ValueError()], {"max_retries": 2}, steps(P, R, X, RT, R, X, RT, R, X)),
    "FAIL is retried": ([signals.FAIL("x"), 1], {"max_retries": 1}, steps(P, R, X, RT, R, OK)),
    "VALIDATIONFAIL is retried": (
        [signals.VALIDATIONFAIL("x"), 1],
        {"max_retries": 1},
        steps(P, R, "ValidationFailed", RT, R, OK),
    ),
    "RETRY needs no max_retries": ([signals.RETRY("x"), signals.RETRY("x"), 1], {}, steps(P, R, RT, R, RT, R, OK)),
    "SKIP": ([signals.SKIP("x")], {}, steps(P, R, "Skipped")),
    "SUCCESS": ([signals.SUCCESS("x")], {}, steps(P, R, OK)),
    "VALIDATIONFAIL": ([signals.VALIDATIONFAIL("x")], {}, steps(P, R, "ValidationFailed")),
    "TRIGGERFAIL": ([signals.TRIGGERFAIL("x")], {}, steps(P, R, "TriggerFailed")),
    "ENDRUN is not retried": ([signals.ENDRUN(states.Failed("x"))], {"max_retries": 3}, steps(P, R, X)),
    "PAUSE": ([signals.PAUSE("x")], {}, steps(P, R, "Paused")),
    "a failure told to be final is not retried": ([signals.FAIL("x", final=True)], {"max_retries": 3}, steps(P, R, X)),
    "manual only": ([1], {"trigger": triggers.manual_only}, steps(P, "Paused")),
    "trigger raises SUCCESS": ([1], {"trigger": lambda _: body(signals.SUCCESS("x"))()}, steps(P, OK)),
    "trigger raises ENDRUN": (
        [1],
        {"trigger": lambda _: body(signals.ENDRUN(states.Cancelled()))()},
        steps(P, "Cancelled"),
    ),
    "trigger is false": ([1], {"trigger": lambda _: False, "max_retries": 2}, steps(P, "TriggerFailed")),
    "trigger is broken": ([1], {"trigger": lambda _: 1 / 0, "max_retries": 2}, steps(P, "TriggerFailed")),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_handlers_are_told_every_transition(name, clock, watch):
    outcomes, options, expected = SEQUENCES[name]

    run(Flow("f", tasks=[task(body(*outcomes), state_handlers=[watch], **options)]), clock)

    assert watch.steps == expected


ODD = ValueError("odd")


def test_the_messages_of_a_run_with_retries(clock, watch):
    load = task(body(ODD, ODD, 1), name="load", state_handlers=[watch], max_retries=2)

    state = run(Flow("f", tasks=[load]), clock)

    assert [str(new) for new in watch.states] == [
        'Running("Starting task run.")',
        "Failed(\"Error during execution of task: ValueError('odd')\")",
        'Retrying("Retrying Task (after attempt 1 of 3)")',
        'Running("Starting task run.")',
        "Failed(\"Error during execution of task: ValueError('odd')\")",
        'Retrying("Retrying Task (after attempt 2 of 3)")',
        'Running("Starting task run.")',
        'Success("Task run succeeded.")',
    ]
    assert state.result[load].result == 1


def test_a_failure_carries_the_exception_and_the_retry_after_it_nothing(clock, watch):
    run(Flow("f", tasks=[task(body(ODD), state_handlers=[watch], max_retries=1)]), clock)

    assert watch.states[1].result is ODD
    assert watch.states[2].result is None
    assert watch.calls[2][1] is watch.states[1]


def test_each_new_state_is_the_next_old_state(clock, watch):
    run(Flow("f", tasks=[task(body(ODD, 1), state_handlers=[watch], max_retries=1)]), clock)

    assert [old for _, old, _ in watch.calls[1:]] == watch.states[:-1]


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        (triggers.all_successful, 'Trigger was "all_successful" but some of the upstream tasks failed.'),
        (lambda upstream: None, "Trigger failed"),
        (lambda upstream: 1 / 0, "Unexpected error while checking task trigger: ZeroDivisionError('division by zero')"),
    ],
    ids=["failed", "false", "broken"],
)
def test_a_trigger_that_is_not_met_says_why(trigger, message, clock, watch):
    with Flow("f") as flow:
        Task(trigger=trigger, state_handlers=[watch])(upstream_tasks=[task(body(ODD))()])

    run(flow, clock)

    assert [(state.type, state.message) for state in watch.states] == [("TriggerFailed", message)]


def test_a_trigger_is_asked_with_the_states_of_the_tasks_before():
    asked = []
    with Flow("f") as flow:
        well, ill = task(body(1), name="well")(), task(body(ODD), name="ill")()
        Task(trigger=lambda upstream: asked.append(dict(upstream)))(upstream_tasks=[well, ill])

    result = flow.run().result

    assert asked == [{well: result[well], ill: result[ill]}]


def test_a_failed_task_fails_all_that_need_it(clock):
    with Flow("f") as flow:
        link = task(body(ODD))()
        for _ in range(3):
            link = Task()(upstream_tasks=[link])

    state = run(flow, clock)

    assert [state.result[task].type for task in flow.sorted_tasks()] == ["Failed", *["TriggerFailed"] * 3]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, steps(P, "Skipped")),
        ({"trigger": triggers.all_failed}, steps(P, "Skipped")),
        ({"skip_on_upstream_skip": False}, steps(P, R, OK)),
        ({"skip_on_upstream_skip": False, "trigger": triggers.not_all_skipped}, steps(P, "Skipped")),
    ],
    ids=["by default", "before the trigger", "switched off", "by the trigger"],
)
def test_a_skip_is_passed_on(options, expected, clock, watch):
    with Flow("f") as flow:
        Task(state_handlers=[watch], **options)(upstream_tasks=[task(body(signals.SKIP("x")))()])

    assert run(flow, clock).is_successful()
    assert watch.steps == expected


def test_retries_wait_for_their_time(clock, watch):
    load = task(body(ODD, ODD, 1), state_handlers=[watch], max_retries=2, retry_delay=timedelta(minutes=5))
    began = clock.now()

    run(Flow("f", tasks=[load]), clock)

    assert clock.waits == [timedelta(minutes=5)] * 2
    retrying = [state for state in watch.states if state.is_retrying()]
    assert [state.start_time - began for state in retrying] == [timedelta(minutes=5), timedelta(minutes=10)]
    assert [state.run_count for state in retrying] == [1, 2]
    assert watch.states[-1].timestamp == began + timedelta(minutes=10)


def test_a_retry_asked_for_by_signal_waits_for_its_time(clock):
    run(Flow("f", tasks=[task(body(RETRY_LATER, 1))]), clock)

    assert clock.waits == [timedelta(hours=1)]


def test_others_run_while_one_waits(clock):
    order = []

    def note(name, *outcomes):
        act = body(*outcomes)
        return task(lambda *_: (order.append((name, clock.now())), act())[1], name=name)

    slow, slower = note("slow", ODD, 1), note("slower", ODD, 1)
    slow.max_retries = slower.max_retries = 1
    slow.retry_delay, slower.retry_delay = timedelta(minutes=1), timedelta(minutes=9)
    noon = clock.now()
    with Flow("f") as flow:
        after_slower = note("after slower", 1)(slower())
        note("after slow", 1)(slow())
        note("free", 1)()

    assert run(flow, clock).is_successful()
    assert [(name, (time - noon) // timedelta(minutes=1)) for name, time in order] == [
        ("slower", 0),
        ("slow", 0),
        ("free", 0),
        ("slow", 1),
        ("after slow", 1),
        ("slower", 9),
        ("after slower", 9),
    ]
    assert after_slower in flow.tasks


def test_a_flow_passes_through_its_states_around_its_tasks(clock, watch):
    run(Flow("nightly", tasks=[Task(state_handlers=[watch])], state_handlers=[watch]), clock)

    assert watch.texts == [
        '<Flow: name=nightly>: Scheduled() to Running("Running flow.")',
        '<Task: Task>: Pending() to Running("Starting task run.")',
        '<Task: Task>: Running("Starting task run.") to Success("Task run succeeded.")',
        '<Flow: name=nightly>: Running("Running flow.") to Success("All reference tasks succeeded.")',
    ]


def test_a_flow_is_not_told_of_retries_of_its_tasks(clock, watch):
    flow = Flow("nightly", tasks=[task(body(ODD), max_retries=2)], state_handlers=[watch])

    run(flow, clock)

    assert watch.steps == ["Scheduled > Running", "Running > Failed"]


def test_a_pause_leaves_the_flow_running_with_what_comes_after_undone(clock, watch):
    with Flow("f", state_handlers=[watch]) as flow:
        paused = Task("paused", trigger=triggers.manual_only)()
        after = Task("after")(upstream_tasks=[paused])
        free = Task("free")()

    state = run(flow, clock)

    assert state.is_running()
    assert [state.result[task].type for task in (paused, after, free)] == ["Paused", "Pending", "Success"]
    assert watch.steps == ["Scheduled > Running"]
    assert clock.waits == []


def test_a_paused_task_runs_when_it_is_resumed(clock, watch):
    with Flow("f") as flow:
        paused = task(body(ODD, 1), trigger=triggers.manual_only, max_retries=1, state_handlers=[watch])()
        after = Task("after")(upstream_tasks=[paused])
    first = Runner(flow, clock=clock)
    first.run({})
    watch.calls.clear()

    state = Runner(flow, clock=clock, states={**first.states, paused: states.Resume(start_time=clock.now())}).run({})

    assert watch.steps == steps("Resume", R, X, RT, R, OK)
    assert state.is_successful()
    assert state.result[after].is_successful()


def test_a_pause_with_a_time_ends_by_itself_and_is_not_an_attempt(clock, watch):
    noon = clock.now()
    pause = signals.PAUSE("until one", start_time=noon + timedelta(hours=1))

    run(Flow("f", tasks=[task(body(pause, 1), state_handlers=[watch])]), clock)

    assert watch.steps == steps(P, R, "Paused", R, OK)
    assert (clock.waits, watch.states[-1].run_count) == ([timedelta(hours=1)], 1)


def test_finished_tasks_given_at_the_beginning_do_not_run(clock, watch):
    done, left = Task("done", state_handlers=[watch]), Task("left", state_handlers=[watch])
    flow = Flow("f", tasks=[done, left])

    state = Runner(flow, clock=clock, states={done: states.Failed("before")}).run({})

    assert state.is_failed()
    assert [obj for obj, *_ in watch.calls] == [left, left]


def test_a_flow_whose_tasks_are_all_done_ends_at_once(clock):
    done = Task()

    assert Runner(Flow("f", tasks=[done]), clock=clock, states={done: states.Success()}).run({}).is_successful()


def test_states_of_strangers_are_refused():
    with pytest.raises(ValueError, match="<Flow: name=f> has no <Task: stranger>"):
        Runner(Flow("f"), states={Task("stranger"): states.Success()})


def test_a_run_goes_on_counting_attempts_where_it_is_told_to(clock, watch):
    load = task(body(ODD), state_handlers=[watch], max_retries=2)
    before = states.Retrying(run_count=2, start_time=clock.now())

    Runner(Flow("f", tasks=[load]), clock=clock, states={load: before}).run({})

    assert watch.steps == steps(RT, R, X)
    assert watch.states[-1].run_count == 3


def test_states_note_attempts_tags_time_and_finality(clock, watch):
    load = task(body(ODD), state_handlers=[watch], max_retries=1, tags=["b", "a"])

    run(Flow("f", tasks=[load]), clock)

    tags = {"tags": ["a", "b"]}
    assert [(new.type, new.run_count, new.final, new.context) for new in watch.states] == [
        (R, 1, None, tags),
        (X, 1, False, tags),
        (RT, 1, None, {**tags, "task_run_count": 1}),
        (R, 2, None, tags),
        (X, 2, True, tags),
    ]
    assert {new.timestamp for new in watch.states} == {clock.now()}


def test_the_state_of_a_signal_is_noted_too(clock, watch):
    load = task(body(signals.RETRY("x"), signals.FAIL("x")), state_handlers=[watch], tags=["a"], max_retries=1)

    run(Flow("f", tasks=[load]), clock)

    assert [(new.type, new.run_count, new.final) for new in watch.states[1::2]] == [(RT, 1, None), (X, 2, True)]
    assert watch.states[-1].context == {"tags": ["a"]}


def test_what_a_signal_notes_itself_is_kept(clock, watch):
    signal = signals.FAIL("x", context={"page": 3})

    run(Flow("f", tasks=[task(body(signal), state_handlers=[watch])]), clock)

    assert watch.states[-1].context == {"tags": [], "page": 3}


class Keep:
    """A state handler that keeps the context it is called in."""

    def __init__(self) -> None:
        self.contexts = []

    def __call__(self, obj, old, new):
        self.contexts.append(dict(context))


DAYS = {
    "today": "2026-03-01",
    "yesterday": "2026-02-28",
    "tomorrow": "2026-03-02",
    "today_nodash": "20260301",
    "yesterday_nodash": "20260228",
    "tomorrow_nodash": "20260302",
}


def test_a_flows_handler_knows_the_run(clock):
    keep, noon = Keep(), clock.now()
    flow = Flow("nightly", tasks=[Parameter("day"), Parameter("limit", default=10)], state_handlers=[keep])

    run(flow, clock, day="monday")

    started, ended = keep.contexts
    assert started == ended
    assert len(started["flow_run_id"]) == 32
    assert started == {
        "flow_name": "nightly",
        "flow_run_id": started["flow_run_id"],
        "flow_run_name": f"nightly-{started['flow_run_id'][-6:]}",
        "parameters": {"day": "monday", "limit": 10},
        "scheduled_start_time": noon,
        "date": noon,
        **DAYS,
    }


def test_a_tasks_handler_knows_the_task_too(clock):
    keep = Keep()
    load = task(body(ODD, 1), name="load", state_handlers=[keep], max_retries=1, tags=["y", "x"])

    run(Flow("nightly", tasks=[load]), clock)

    assert [values["task_run_count"] for values in keep.contexts] == [1, 1, 1, 2, 2]
    values = keep.contexts[0]
    assert (values["task_name"], values["task_full_name"], values["task_tags"]) == ("load", "load", ("x", "y"))
    assert values["flow_name"] == "nightly"
    assert values["today"] == DAYS["today"]
    assert values["task_run_id"] == f"{values['flow_run_id']}/load-1"


def test_tasks_of_one_name_have_ids_of_their_own_that_stay_over_attempts(clock):
    keep = Keep()
    load = task(body(ODD), name="load", state_handlers=[keep], max_retries=1)
    with Flow("f") as flow:
        load()
        load()

    run(flow, clock)

    ids = [values["task_run_id"].partition("/")[2] for values in keep.contexts]
    assert sorted(set(ids)) == ["load-1", "load-2"]
    assert ids.count("load-1") == ids.count("load-2") == 5


def test_two_runs_differ():
    keep = Keep()
    flow = Flow("f", state_handlers=[keep])

    flow.run()
    flow.run()

    assert len({values["flow_run_id"] for values in keep.contexts}) == 2


def test_the_body_and_the_trigger_see_the_context_as_well(clock):
    seen = []
    peek = task(
        lambda: seen.append(context.task_name), name="peek", trigger=lambda _: seen.append(context.task_name) or True
    )

    run(Flow("f", tasks=[peek]), clock)

    assert seen == ["peek", "peek"]


def test_what_surrounds_a_run_is_kept_inside_and_nothing_is_left_behind(clock):
    keep = Keep()

    with context(secrets={"TOKEN": "x"}):
        run(Flow("f", tasks=[Task(state_handlers=[keep])], state_handlers=[keep]), clock)
        assert dict(context) == {"secrets": {"TOKEN": "x"}}

    assert all(values["secrets"] == {"TOKEN": "x"} for values in keep.contexts)
    assert len(keep.contexts) == 4
    assert dict(context) == {}


@pytest.mark.parametrize("escaping", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()], ids=repr)
def test_what_is_meant_to_end_the_process_escapes_from_a_body(escaping, clock):
    with pytest.raises(type(escaping)):
        run(Flow("f", tasks=[task(body(escaping), max_retries=3)]), clock)

    assert dict(context) == {}


def test_a_result_that_cannot_be_an_argument_fails_the_task_that_needs_it(clock):
    with Flow("f") as flow:
        unhashable = task(body([1]))()
        needing = task(lambda x: x, name="needing")({unhashable})

    state = run(flow, clock)

    assert state.result[needing].message == "Error during execution of task: TypeError(\"unhashable type: 'list'\")"
