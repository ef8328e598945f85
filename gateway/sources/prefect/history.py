"""History: transitions out of the list of states that Prefect's server keeps for each run, where it lost the events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.sources.prefect.mapping import (
    LONGEST_ID,
    MOST_TAGS,
    SOURCE,
    Step,
    attempts_before,
    labels_of,
    retry_id,
    state_of,
    step_of,
    task_of,
    url_of,
)
from gateway.sources.prefect.reading import Part
from gateway.transition import Kind, Obj, Transition, plain


def transitions_of(
    kind: Kind,
    run: Mapping[str, Any],
    states: Sequence[Mapping[str, Any]],
    *,
    flow: Mapping[str, Any] | None = None,
    flow_run: Mapping[str, Any] | None = None,
    ui: str = "",
) -> list[Transition]:
    """The transitions of one run, from its first state to its last; the same as those of its events, ids included.

    Args:
        kind: what ran.
        run: the run, as the API gives it.
        states: all its states, in any order, as the API gives them.
        flow: the flow of that run, or of the task's.
        flow_run: for a task, the run of the flow that it ran in.
        ui: as of :func:`gateway.sources.prefect.mapping.transition_of`.

    There are none of the task run that stands for a subflow in the flow that calls it: no event tells of it either.

    Raises:
        PayloadError: one of them is not of that form; says which keys and what would be right.
    """
    whole = Part.whole({"run": run, "states": states, "flow": flow, "flow_run": flow_run}, "the history")
    history = _History(whole, kind, ui)
    found = history.transitions()
    whole.check()
    return found


class _History:
    """One run's states being read."""

    def __init__(self, whole: Part, kind: Kind, ui: str) -> None:
        self._whole, self._kind, self._ui = whole, kind, ui
        self._run = whole.part("run", needed=True)
        self._flow = whole.part("flow")

    def transitions(self) -> list[Transition]:
        """The transitions, or those that could be read if there are complaints."""
        found: list[Transition] = []
        if self._stands_for_subflow():
            return found
        before: tuple[Part, Step, datetime] | None = None
        attempt = 0
        for entry, step, timestamp in self._steps():
            attempt += step[0] == "RUNNING"
            found.append(self._transition(entry, step, timestamp, before, attempt))
            before = (entry, step, timestamp)
        return found

    def _stands_for_subflow(self) -> bool:
        """Whether it is the task run that a flow has for a flow it calls: no event tells of it, the flow's run does."""
        return any(entry.part("state_details").text("child_flow_run_id") for entry in self._whole.parts("states"))

    def _steps(self) -> list[tuple[Part, Step, datetime]]:
        """The states with what they are, the earliest first."""
        steps = []
        for entry in self._whole.parts("states"):
            step, timestamp = step_of(entry), entry.instant("timestamp", needed=True)
            if step is not None and timestamp is not None:
                steps.append((entry, step, timestamp))
        return sorted(steps, key=lambda one: one[2])

    def _transition(
        self, entry: Part, step: Step, timestamp: datetime, before: tuple[Part, Step, datetime] | None, attempt: int
    ) -> Transition:
        old = None if before is None else state_of(before[0], before[1], None, before[2])
        state = state_of(entry, step, None if before is None else before[1], timestamp, attempt)
        obj = self._task() if self._kind == "task" else self._flow_run(self._run)
        if obj.started_at is not None and obj.started_at > timestamp:
            obj.started_at = None
        id = entry.text("id", needed=True, longest=LONGEST_ID)
        if self._kind == "task" and state.is_retrying():
            state.run_count = attempts_before(step, attempt)
            id = retry_id(obj.run_id, self._run.count("flow_run_run_count"), state.run_count)
        return Transition.of(obj, old, state, id=id, source=SOURCE, occurred_at=timestamp)

    def _task(self) -> Obj:
        flow_run = self._whole.part("flow_run")
        flow = self._flow_run(flow_run) if flow_run.values or self._flow.values else None
        run_id, run_name = self._run.text("id", needed=True), self._run.text("name")
        return task_of(self._run, run_id, run_name, flow, self._ui)

    def _flow_run(self, run: Part) -> Obj:
        return flow_of(run, self._flow.text("name"), self._ui)


def flow_of(run: Part, name: str, ui: str) -> Obj:
    """The flow called ``name`` whose run the API gives as ``run``."""
    run_id, policy = run.text("id"), run.part("empirical_policy")
    labels = {
        "deployment_id": run.text("deployment_id"),
        "work_pool": run.text("work_pool_name"),
        "work_queue": run.text("work_queue_name"),
        "flow_id": run.text("flow_id"),
        "created_by": run.part("created_by").text("display_value"),
    }
    return Obj(
        "flow",
        name,
        run_id,
        run.text("name"),
        tags=tuple(sorted(run.texts("tags"))[:MOST_TAGS]),
        parameters=plain(dict(run.part("parameters").values)),
        labels=labels_of(run.part("labels")) | {key: value for key, value in labels.items() if value},
        max_retries=policy.count("retries") or policy.count("max_retries"),
        url=url_of(ui, "flow", run_id),
        started_at=run.instant("start_time"),
    )
