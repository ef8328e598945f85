"""The runner: drives one run of one flow, from ``Scheduled`` to its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from gateway.context import context
from gateway.flows.clock import SYSTEM_CLOCK, Clock
from gateway.flows.proposal import settled
from gateway.flows.signals import ENDRUN, Signal
from gateway.flows.task import Task
from gateway.flows.task_run import TaskRun
from gateway.states import Failed, Pending, Running, Scheduled, State, Success
from gateway.transition import new_id

if TYPE_CHECKING:
    from gateway.flows.flow import Flow


class Runner:
    """One run of a flow, task by task, in the calling thread.

    While a task waits for its next attempt, others that can run do. A state handler of the flow that
    raises a signal or returns a state decides how the flow stands, whatever its result; ``states``
    has the tasks' states even then.

    Args:
        flow: what to run.
        clock: the time to go by.
        states: where tasks stand at the beginning, ``Pending`` unless given. Finished ones do not run;
            ``Resume()`` approves a paused one.

    Attributes:
        states: the state of every task so far.

    Raises:
        ValueError: ``states`` names a task that is not in the flow.
    """

    def __init__(self, flow: Flow, *, clock: Clock = SYSTEM_CLOCK, states: Mapping[Task, State] | None = None) -> None:
        given = states or {}
        self.states: dict[Task, State] = {
            task: given.get(task) or Pending(timestamp=clock.now()) for task in flow.sorted_tasks()
        }
        strangers = [task for task in given if task not in self.states]
        if strangers:
            raise ValueError(f"{flow} has no {', '.join(map(repr, strangers))}")
        self._flow = flow
        self._clock = clock
        self._run_id = new_id()
        self._open = [run for run in self._task_runs() if not run.state.is_finished()]

    def run(self, parameters: Mapping[str, Any]) -> State:
        """Run the flow to its end, or until all that is left waits for approval; return the state it is in.

        Raises:
            ValueError: a required parameter is missing.
            TypeError: a parameter is not the flow's.
        """
        self._check(parameters)
        now = self._clock.now()
        with context(**self._context(parameters, now)):
            try:
                return self._run(Scheduled(timestamp=now))
            except ENDRUN as end:
                return end.state

    def _run(self, scheduled: State) -> State:
        running = self._settled(scheduled, self._new(Running, "Running flow."))
        if not running.is_running():
            return running
        self._run_tasks()
        if self._open:
            return running.replace(result=dict(self.states))
        return self._settled(running, self._conclusion())

    def _run_tasks(self) -> None:
        while (due_at := self._next_due_at()) is not None:
            self._clock.wait_until(due_at)
            self._attempt_what_is_due()
            self._open = [run for run in self._open if not run.state.is_finished()]

    def _next_due_at(self) -> datetime | None:
        times = (run.due_at(self.states) for run in self._open)
        return min((time for time in times if time is not None), default=None)

    def _attempt_what_is_due(self) -> None:
        for run in self._open:
            due_at = run.due_at(self.states)
            if due_at is not None and due_at <= self._clock.now():
                self.states[run.task] = run.attempt(self.states)

    def _conclusion(self) -> State:
        states = [self.states[task] for task in self._flow.reference_tasks()]
        result = dict(self.states)
        if any(state.is_failed() for state in states):
            return self._new(Failed, "Some reference tasks failed.", result)
        if all(state.is_successful() for state in states):
            return self._new(Success, "All reference tasks succeeded.", result)
        return self._new(Success, "No reference tasks failed.", result)

    def _settled(self, old_state: State, proposed: State) -> State:
        try:
            return settled(self._flow, old_state, proposed)
        except Signal as signal:
            return signal.state

    def _new(self, kind: type[State], message: str, result: Any = None) -> State:
        return kind(message, result, timestamp=self._clock.now(), run_count=1)

    def _task_runs(self) -> Iterator[TaskRun]:
        seen: Counter[str] = Counter()
        for task, state in self.states.items():
            seen[task.name] += 1
            yield TaskRun(
                task,
                f"{self._run_id}/{task.name}-{seen[task.name]}",
                self._flow.upstream_tasks(task),
                self._flow.arguments(task),
                state,
                self._clock,
            )

    def _check(self, parameters: Mapping[str, Any]) -> None:
        known = {parameter.name: parameter for parameter in self._flow.parameters()}
        unknown = [name for name in parameters if name not in known]
        if unknown:
            raise TypeError(f"{self._flow} has no parameter {_listed(unknown)}; it has {_listed([*known]) or 'none'}")
        missing = [name for name, parameter in known.items() if parameter.required and name not in parameters]
        if missing:
            raise ValueError(f"{self._flow} needs the parameter {_listed(missing)}")

    def _context(self, parameters: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        return {
            "flow_name": self._flow.name,
            "flow_run_id": self._run_id,
            "flow_run_name": f"{self._flow.name}-{self._run_id[-6:]}",
            "parameters": self._parameters(parameters),
            "scheduled_start_time": now,
            "date": now,
            **_days(now),
        }

    def _parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {parameter.name: parameter.default for parameter in self._flow.parameters()} | dict(given)


def _days(now: datetime) -> dict[str, str]:
    day = timedelta(days=1)
    dates = {"yesterday": now - day, "today": now, "tomorrow": now + day}
    return {name: f"{date:%Y-%m-%d}" for name, date in dates.items()} | {
        f"{name}_nodash": f"{date:%Y%m%d}" for name, date in dates.items()
    }


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names))
