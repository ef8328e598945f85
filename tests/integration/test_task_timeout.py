"""Time limits of tasks: real threads, real time."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest

from gateway import Flow, context, signals, task
from gateway.flows.time_limit import TimeLimitReached, run_within

LIMIT = timedelta(milliseconds=50)


@pytest.fixture
def release():
    """An event that ends whatever overran, and gives it the time to end."""
    event = threading.Event()
    yield event
    event.set()
    for thread in threading.enumerate():
        if thread.name == "gateway-task":
            thread.join()


def test_what_is_in_time_returns_or_raises_as_if_called():
    minute = timedelta(minutes=1)

    assert run_within(minute, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        run_within(minute, lambda: 1 / 0)
    with pytest.raises(SystemExit):
        run_within(minute, lambda: exit(3))


def test_what_overruns_is_left_behind(release):
    began = time.monotonic()

    with pytest.raises(TimeLimitReached, match=r"still running after 0\.05 s"):
        run_within(LIMIT, release.wait)

    assert time.monotonic() - began < 30


def test_the_context_of_the_caller_is_seen_inside():
    with context(flow_name="nightly"):
        assert run_within(timedelta(minutes=1), lambda: context.flow_name) == "nightly"


def test_an_attempt_that_overruns_is_timed_out_and_retried(release):
    seen, bodies = [], iter([release.wait, lambda: "at last"])

    @task(timeout=LIMIT, max_retries=1, state_handlers=[lambda obj, old, new: seen.append(f"{old.type} > {new}")])
    def slow():
        return next(bodies)()

    state = Flow("f", tasks=[slow]).run()

    assert seen[1:3] == [
        'Running > TimedOut("Task timed out during execution.")',
        'TimedOut > Retrying("Retrying Task (after attempt 1 of 2)")',
    ]
    assert state.result[slow].result == "at last"


def test_an_overrun_that_is_not_retried_fails_the_flow_which_goes_on(release):
    slow = task(release.wait, name="slow", timeout=LIMIT)
    quick = task(lambda: "done", name="quick")

    state = Flow("f", tasks=[slow, quick]).run()

    assert (state.result[slow].type, state.result[quick].result) == ("TimedOut", "done")
    assert state.is_failed()


@pytest.mark.parametrize(
    ("raised", "kind"), [(signals.SKIP("no"), "Skipped"), (TimeoutError("mine"), "Failed"), (ValueError(), "Failed")]
)
def test_signals_and_errors_mean_the_same_with_a_limit(raised, kind):
    def body():
        raise raised

    limited = task(body, timeout=timedelta(minutes=1))

    assert Flow("f", tasks=[limited]).run().result[limited].type == kind


def test_a_request_to_exit_from_a_limited_task_escapes_the_run():
    with pytest.raises(SystemExit):
        Flow("f", tasks=[task(lambda: exit(3), name="leave", timeout=timedelta(minutes=1))]).run()
