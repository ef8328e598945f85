"""Run by ``test_prefect1.py`` with the interpreter of a Prefect 1 environment; prints what it saw as JSON.

It imports nothing that Prefect 1 or the standard library does not bring, save the package under test.
"""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace

import cloudpickle
import prefect
import prefect.engine.signals
import prefect.engine.state
import prefect.triggers

import gateway
import gateway.flows
from gateway.handlers import callback_factory, on_failure_handler
from gateway.inprocess import observe
from gateway.transition import plain

PREFECT = SimpleNamespace(
    Flow=prefect.Flow,
    Task=prefect.Task,
    task=prefect.task,
    Parameter=prefect.Parameter,
    signals=prefect.engine.signals,
    states=prefect.engine.state,
    triggers=prefect.triggers,
)
OURS = gateway
NO_DELAY = timedelta(0)


class Always:
    def holds(self, transition):
        return True


class Keep:
    """A transition-aware callback."""

    def __init__(self):
        self.told = []

    def tell(self, transition):
        self.told.append(transition)


def keeper(keep):
    return callback_factory(keep, Always())


def told(transition):
    obj, state = transition.obj, transition.state
    return {
        "source": transition.source,
        "kind": transition.kind,
        "name": obj.name,
        "run_id": obj.run_id,
        "run_name": obj.run_name,
        "tags": obj.tags,
        "parameters": obj.parameters,
        "max_retries": obj.max_retries,
        "map_index": obj.map_index,
        "flow": transition.flow.name,
        "flow_run_id": transition.flow.run_id,
        "step": f"{transition.old_state.type} > {state.type}",
        "message": state.message,
        "result": plain(state.result),
        "run_count": state.run_count,
        "start_time": state.start_time and state.start_time.utcoffset().total_seconds(),
        "final": state.is_final(),
        "old_final": transition.old_state.is_final(),
    }


def raising(*outcomes):
    left = list(outcomes)

    def body():
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return body


def answering(kind, answer):
    left = [answer]

    def handler(obj, old, new):
        if type(new).__name__ != kind or not left:
            return None
        outcome = left.pop()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return handler


RETRIES = {"max_retries": 2, "retry_delay": NO_DELAY}

# Each gives the body's outcomes, a handler's answer to a state, and the options of a task.
LONE_TASKS = {
    "success": lambda e: ([1], None, {}),
    "exception": lambda e: ([ValueError("odd")], None, {}),
    "retry, then well": lambda e: ([ValueError("odd"), 1], None, RETRIES),
    "retries used up": lambda e: ([ValueError("odd")], None, RETRIES),
    "RETRY": lambda e: ([e.signals.RETRY("again"), 1], None, {}),
    "FAIL with retries": lambda e: ([e.signals.FAIL("no"), 1], None, RETRIES),
    "VALIDATIONFAIL with retries": lambda e: ([e.signals.VALIDATIONFAIL("no"), 1], None, RETRIES),
    "TRIGGERFAIL with retries": lambda e: ([e.signals.TRIGGERFAIL("no"), 1], None, RETRIES),
    "SKIP": lambda e: ([e.signals.SKIP("no")], None, {}),
    "SUCCESS": lambda e: ([e.signals.SUCCESS("done")], None, {}),
    "ENDRUN with retries": lambda e: ([e.signals.ENDRUN(e.states.Failed("over"))], None, RETRIES),
    "false trigger": lambda e: ([1], None, {"trigger": lambda upstream: False, **RETRIES}),
    "broken trigger": lambda e: ([1], None, {"trigger": lambda upstream: 1 / 0, **RETRIES}),
    "handler skips": lambda e: ([1], ("Running", e.states.Skipped("no")), {}),
    "handler fails it before it runs": lambda e: ([1], ("Running", e.states.Failed("no")), RETRIES),
    "handler vetoes": lambda e: ([1], ("Success", e.states.Failed("veto")), RETRIES),
    "handler rescues": lambda e: ([ValueError("odd")], ("Failed", e.states.Success("fine")), RETRIES),
    "handler retries": lambda e: ([ValueError("odd"), 1], ("Failed", e.states.Retrying("again")), {}),
    "handler raises FAIL before it runs": lambda e: ([1], ("Running", e.signals.FAIL("no")), RETRIES),
    "handler raises FAIL after it ran": lambda e: ([1], ("Success", e.signals.FAIL("no")), RETRIES),
    "handler raises FAIL at a retry": lambda e: ([ValueError("odd")], ("Retrying", e.signals.FAIL("no")), RETRIES),
    "handler raises ENDRUN": lambda e: ([1], ("Success", e.signals.ENDRUN(e.states.Failed("over"))), RETRIES),
    "handler is broken": lambda e: ([1], ("Success", KeyError("channel")), RETRIES),
    "handler is broken at once": lambda e: ([1], ("Running", KeyError("channel")), RETRIES),
}

# Each gives the outcomes of the tasks before, and the options of the task that is watched.
DEPENDENT_TASKS = {
    f"{trigger} after {name}": (lambda e, outcomes=outcomes, trigger=trigger: (outcomes(e), {"trigger": trigger}))
    for trigger in ("all_successful", "all_failed", "any_successful", "any_failed", "all_finished", "not_all_skipped")
    for name, outcomes in {
        "success": lambda e: [1, 2],
        "one failure": lambda e: [1, ValueError("odd")],
        "failure": lambda e: [ValueError("odd")],
        "a skip": lambda e: [1, e.signals.SKIP("no")],
    }.items()
}


def watching(lines):
    def watch(obj, old, new):
        lines.append(f"{obj.name}: {type(old).__name__} > {type(new).__name__} {new.message}")

    return watch


def lone_task(engine, name):
    outcomes, answer, options = LONE_TASKS[name](engine)
    lines, failures = [], []
    handlers = [watching(lines), *([answering(*answer)] if answer else []), watching(lines)]
    made = engine.task(
        raising(*outcomes),
        name="load",
        state_handlers=handlers,
        on_failure=lambda obj, state: failures.append(str(state.message)),
        **options,
    )
    with engine.Flow("f", state_handlers=[watching(lines)]) as flow:
        placed = made()
    state = flow.run()
    end = state.result[placed]
    return {"lines": lines, "failures": failures, "end": f"{type(end).__name__} {end.message}"}


def dependent_task(engine, name):
    outcomes, options = DEPENDENT_TASKS[name](engine)
    lines = []
    with engine.Flow("f") as flow:
        before = [engine.task(raising(outcome), name="before")() for outcome in outcomes]
        watched = engine.task(
            lambda: 1,
            name="after",
            state_handlers=[watching(lines)],
            skip_on_upstream_skip=False,
            trigger=getattr(engine.triggers, options["trigger"]),
        )
        watched(upstream_tasks=before)
    flow.run()
    return lines


class Load(prefect.Task):
    """A task class of the user's own."""

    def run(self):
        failure = prefect.engine.signals.FAIL("a equals b")
        failure.value = 3
        raise failure


def transitions_of_a_retried_task():
    keep, failures = Keep(), []
    handlers = [keeper(keep), on_failure_handler(lambda obj, state: failures.append((obj.name, str(state.message))))]
    load = Load(name="load", tags=["b", "a"], state_handlers=handlers, **RETRIES)
    flow = prefect.Flow("nightly", tasks=[load], state_handlers=handlers)
    flow.add_task(prefect.Parameter("day"))
    # Our own context around a run of theirs must not be taken for theirs.
    with gateway.context(secrets={"TOKEN": "x"}):
        flow.run(day="monday")
    return {"transitions": [told(transition) for transition in keep.told], "failures": failures}


def transitions_of_mapped_tasks():
    keep = Keep()
    double = prefect.task(lambda x: 1 / x, name="double", state_handlers=[keeper(keep)])
    with prefect.Flow("f") as flow:
        double.map([1, 0])
    flow.run()
    return [told(transition) for transition in keep.told]


def retries_told_by_factory():
    messages = []
    handler = callback_factory(lambda obj, state: messages.append(str(state.message)), lambda s: s.is_retrying())
    truthy = callback_factory(lambda obj, state: messages.append("truthy"), lambda s: 1)
    load = prefect.task(raising(ValueError("odd"), 1), state_handlers=[handler, truthy], **RETRIES)
    prefect.Flow("f", tasks=[load]).run()
    return messages


def handler_after_cloudpickle():
    told_before = []

    def tell(obj, state):
        prefect.context.setdefault("told", told_before).append(state.message)

    handler = cloudpickle.loads(cloudpickle.dumps(callback_factory(tell, lambda state: state.is_failed())))
    with prefect.context(told=[]):
        prefect.Flow("f", tasks=[prefect.task(raising(ValueError("odd")), state_handlers=[handler])]).run()
        return list(prefect.context["told"])


def broken_callback():
    def fn(obj, state):
        raise OSError("no network")

    load = prefect.task(lambda: 1, state_handlers=[callback_factory(fn, lambda state: state.is_successful())])
    flow = prefect.Flow("f", tasks=[load])
    return flow.run().result[load].message


def state_classes():
    seen = {}
    for name, cls in vars(prefect.engine.state).items():
        if isinstance(cls, type) and issubclass(cls, prefect.engine.state.State) and not name.startswith("_"):
            theirs = cls()
            ours = observe(prefect.Task(), None, theirs).state
            predicates = [method for method in dir(theirs) if method.startswith("is_")]
            seen[name] = [ours.type, *(m for m in predicates if getattr(theirs, m)() != getattr(ours, m)())]
    return seen


def main():
    print(
        json.dumps(
            {
                "version": prefect.__version__,
                "lone": {name: [lone_task(PREFECT, name), lone_task(OURS, name)] for name in LONE_TASKS},
                "dependent": {
                    name: [dependent_task(PREFECT, name), dependent_task(OURS, name)] for name in DEPENDENT_TASKS
                },
                "retried": transitions_of_a_retried_task(),
                "mapped": transitions_of_mapped_tasks(),
                "retries": retries_told_by_factory(),
                "cloudpickled": handler_after_cloudpickle(),
                "broken": broken_callback(),
                "states": state_classes(),
            },
            default=str,
        )
    )


if __name__ == "__main__":
    main()
