"""Task runs: the part of one task in the run of a flow, attempt by attempt."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.context import context
from gateway.flows.arguments import Arguments
from gateway.flows.clock import Clock
from gateway.flows.proposal import settled
from gateway.flows.signals import ENDRUN, Signal
from gateway.flows.task import Task
from gateway.flows.time_limit import TimeLimitReached, run_within
from gateway.states import (
    Failed,
    Resume,
    Retrying,
    Running,
    Scheduled,
    Skipped,
    State,
    Success,
    TimedOut,
    TriggerFailed,
)

ANY_TIME = datetime.min.replace(tzinfo=UTC)
"""Earlier than every start time."""


class TaskRun:
    """One task in one run of a flow.

    Args:
        task: the task.
        id: tells this run from all others.
        upstream: the tasks right before it.
        arguments: what to call it with.
        state: where it stands.
        clock: the time it goes by.

    Attributes:
        attempts: how many were made. Going on after a pause counts as the same one.
    """

    def __init__(
        self, task: Task, id: str, upstream: tuple[Task, ...], arguments: Arguments, state: State, clock: Clock
    ) -> None:
        self.task = task
        self.state = state
        self.attempts = state.run_count if state.is_retrying() else 0
        self._id = id
        self._upstream = upstream
        self._arguments = arguments
        self._clock = clock
        self._tags = sorted(task.tags)
        self._resumed = isinstance(state, Resume)

    def due_at(self, states: Mapping[Task, State]) -> datetime | None:
        """When the next attempt can be made: :data:`ANY_TIME`, the start of the state, or ``None`` if none can.

        None can after the end, before the upstream tasks have ended, and in a pause without a time.
        """
        if self.state.is_finished() or not all(states[task].is_finished() for task in self._upstream):
            return None
        return self.state.start_time if self.state.is_scheduled() else ANY_TIME

    def attempt(self, states: Mapping[Task, State]) -> State:
        """Make an attempt, given the ``states`` of the tasks before; return the state it leads to."""
        if self.attempts == 0 or self.state.is_retrying():
            self.attempts += 1
        with context(**self._context()):
            try:
                state = self._attempted(states)
            except ENDRUN as end:
                state = self._noted(end.state, final=True)
        self.state = self._with_a_way_on(state)
        return self.state

    def _attempted(self, states: Mapping[Task, State]) -> State:
        refusal = self._refusal({task: states[task] for task in self._upstream})
        if refusal is not None:
            return self._settled(self.state, refusal)
        running = self._settled(self.state, self._new(Running, "Starting task run."))
        if not running.is_running():
            return running
        ended = self._settled(running, self._outcome(states))
        return self._settled(ended, self._retrying()) if self._is_retried(ended) else ended

    def _settled(self, old_state: State, proposed: State) -> State:
        try:
            return settled(self.task, old_state, proposed)
        except Signal as signal:
            return self._noted(signal.state, final=self._is_last or not old_state.is_running())

    def _refusal(self, upstream: Mapping[Task, State]) -> State | None:
        """The state the task takes instead of running; ``None`` if it may run."""
        if self.task.skip_on_upstream_skip and any(state.is_skipped() for state in upstream.values()):
            return self._new(Skipped, "An upstream task was skipped, and skip_on_upstream_skip is set.")
        try:
            met = self.task.trigger(upstream)
        except (Signal, ENDRUN) as stop:
            return self._noted(stop.state, final=True)
        except Exception as error:
            return self._new(TriggerFailed, f"Unexpected error while checking task trigger: {error!r}", error, True)
        return None if met else self._new(TriggerFailed, "Trigger failed", final=True)

    def _outcome(self, states: Mapping[Task, State]) -> State:
        """Run the task's body: the state it proposes."""
        try:
            result = self._run_body(states)
        except ENDRUN as end:
            return self._noted(end.state, final=True)
        except Signal as signal:
            return self._noted(signal.state, final=self._is_last)
        except TimeLimitReached as error:
            return self._new(TimedOut, "Task timed out during execution.", error, self._is_last)
        except Exception as error:
            return self._new(Failed, f"Error during execution of task: {error!r}", error, self._is_last)
        return self._new(Success, "Task run succeeded.", result)

    def _run_body(self, states: Mapping[Task, State]) -> Any:
        args, kwargs = self._arguments.filled(states)
        if self.task.timeout is None:
            return self.task.run(*args, **kwargs)
        return run_within(self.task.timeout, lambda: self.task.run(*args, **kwargs))

    @property
    def _is_last(self) -> bool:
        return self.attempts > self.task.max_retries

    def _is_retried(self, ended: State) -> bool:
        return ended.is_failed() and ended.final is not True and not self._is_last

    def _retrying(self) -> State:
        message = f"Retrying Task (after attempt {self.attempts} of {self.task.max_retries + 1})"
        return self._new(Retrying, message, start_time=self._clock.now() + self.task.retry_delay)

    def _new(
        self,
        kind: type[State],
        message: str,
        result: Any = None,
        final: bool | None = None,
        start_time: datetime | None = None,
    ) -> State:
        return kind(
            message,
            result,
            context=self._notes(kind),
            timestamp=self._clock.now(),
            start_time=start_time,
            run_count=self.attempts,
            final=final,
        )

    def _noted(self, state: State, final: bool | None) -> State:
        """``state``, made elsewhere, with what the run knows of it; ``final`` counts if it is a failure."""
        return state.replace(
            context={**self._notes(type(state)), **state.context},
            run_count=self.attempts,
            final=final if state.is_failed() and state.final is None else state.final,
        )

    def _notes(self, kind: type[State]) -> dict[str, Any]:
        notes: dict[str, Any] = {"tags": [*self._tags]}
        if issubclass(kind, Scheduled):
            notes["task_run_count"] = self.attempts
        return notes

    def _context(self) -> dict[str, Any]:
        return {
            "task_name": self.task.name,
            "task_full_name": self.task.name,
            "task_run_id": self._id,
            "task_run_count": self.attempts,
            "task_tags": tuple(self._tags),
            "resume": self._resumed,
        }

    def _with_a_way_on(self, state: State) -> State:
        """``state``, unless the run would be stuck in it: only waiting for a time leads on from an unfinished one."""
        if state.is_finished() or state.is_scheduled():
            return state
        return self._new(Failed, f"The state handlers left the task in {state}: neither an end nor a wait.", final=True)
