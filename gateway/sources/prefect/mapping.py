"""Mapping: a transition out of an event of Prefect 3, as its server tells it. Needs the standard library only.

What an event does not hold is left empty: parameters, a flow's start and retries, log lines. A state's result is what
its message says of the exception; the exception itself never leaves the process of the flow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from gateway.sources.prefect.reading import Part
from gateway.sources.prefect.table import BY_TYPE, state_class
from gateway.states import PREDICATES, State
from gateway.transition import Kind, Obj, Transition

SOURCE = "prefect3"

LONGEST_ID = 200
MOST_TAGS = 200

Step = tuple[str, str]
"""Type and name of a state."""


def retry_id(task_run_id: str, flow_attempt: int, attempt: int) -> str:
    """The id of the transition by which a task run waits for the attempt after ``attempt``.

    Prefect's hooks hear of a retry before the state is made that waits for it, and so cannot know that state's id. What
    both its event and the hook know makes this one: whichever tells first, the other tells the same.

    Args:
        task_run_id: the task run's id.
        flow_attempt: how often the flow run had been started then (``flow_run_run_count``).
        attempt: how often the task run had been (``run_count``), at least 1.
    """
    return str(uuid5(NAMESPACE_OID, f"prefect.task-run.{task_run_id}/{flow_attempt}/{attempt}"))


def transition_of(event: Mapping[str, Any], ui: str = "") -> Transition | None:
    """The transition that ``event`` tells of; ``None`` if it tells of something else.

    Args:
        event: an event, as the server's API gives it.
        ui: where Prefect's pages are, such as ``https://prefect.example.org``; makes the URLs of runs.

    Its id is the event's, which is the state's as well, except for the retry of a task: see :func:`retry_id`.

    Raises:
        PayloadError: it is not of that form; says which keys and what would be right.
    """
    whole = Part.whole(event, "the event")
    kind = _kind_of(whole)
    if kind is None:
        return None
    transition = _Reading(whole, kind, ui).transition()
    whole.check()
    return transition


_KINDS: Mapping[str, Kind] = {"prefect.flow-run.": "flow", "prefect.task-run.": "task"}


def _kind_of(event: Part) -> Kind | None:
    """Whose state change it is; ``None`` if it is none. A heartbeat, say, has no state."""
    name = event.text("event", needed=True)
    event.check()
    kind = next((kind for prefix, kind in _KINDS.items() if name.startswith(prefix)), None)
    payload, resource = event.values.get("payload"), event.values.get("resource")
    has_state = isinstance(payload, Mapping) and "validated_state" in payload
    is_labelled = isinstance(resource, Mapping) and "prefect.state-type" in resource
    return kind if has_state or is_labelled else None


class _Reading:
    """One event being read."""

    def __init__(self, event: Part, kind: Kind, ui: str) -> None:
        self._event, self._kind, self._ui = event, kind, ui
        self._resource = event.part("resource", needed=True)
        payload = event.part("payload", needed=True)
        self._run = payload.part("task_run")
        self._new = payload.part("validated_state", needed=True)
        self._old = payload.part("initial_state") if payload.has("initial_state") else None
        self._related = _Related(event)

    def transition(self) -> Transition | None:
        """The transition, or something of no use if there are complaints."""
        occurred_at = self._event.instant("occurred", needed=True)
        id = self._event.text("id", needed=True, longest=LONGEST_ID)
        new, before = step_of(self._new), None if self._old is None else step_of(self._old)
        if occurred_at is None or new is None:
            return None
        run_count = self._resource.count("prefect.run-count")
        state = state_of(self._new, new, before, occurred_at, run_count)
        state.timestamp = self._resource.instant("prefect.state-timestamp") or occurred_at
        obj = self._task() if self._kind == "task" else self._flow(run_count, new, occurred_at)
        if self._kind == "task" and state.is_retrying():
            id = retry_id(obj.run_id, self._run.count("flow_run_run_count"), attempts_before(new, run_count))
            state.run_count = attempts_before(new, run_count)
        old = None if self._old is None or before is None else state_of(self._old, before, None, occurred_at)
        return Transition.of(obj, old, state, id=id, source=SOURCE, occurred_at=occurred_at)

    def _flow(self, run_count: int, new: Step, occurred_at: datetime) -> Obj:
        flow = self._related.flow(self._run_id("prefect.flow-run."), self._resource.text("prefect.resource.name"))
        flow.labels |= self._related.parent()
        flow.url = url_of(self._ui, "flow", flow.run_id)
        if run_count == 1 and new == ("RUNNING", "Running"):
            flow.started_at = occurred_at
        return flow

    def _task(self) -> Obj:
        run_id, run_name = self._run_id("prefect.task-run."), self._resource.text("prefect.resource.name")
        flow = None if is_alone(self._run) else self._related.flow_of_task(self._ui)
        task = task_of(self._run, run_id, run_name, flow, self._ui)
        task.labels |= self._related.parent()
        return task

    def _run_id(self, prefix: str) -> str:
        id = self._resource.text("prefect.resource.id", needed=True)
        if id and not id.startswith(prefix):
            self._resource.complain("prefect.resource.id", f"does not begin with {prefix} as the event does")
        return id.removeprefix(prefix)


class _Related:
    """What an event says its run belongs to: one resource for each role, and tags."""

    def __init__(self, event: Part) -> None:
        self._roles: dict[str, Part] = {}
        self.tags: list[str] = []
        for resource in event.parts("related"):
            role, id = resource.text("prefect.resource.role"), resource.text("prefect.resource.id")
            if role == "tag":
                self.tags.append(id.removeprefix("prefect.tag."))
            else:
                self._roles.setdefault(role, resource)

    def flow(self, run_id: str, run_name: str) -> Obj:
        """The flow, with the labels and tags of all it belongs to."""
        return Obj(
            "flow", self._name("flow"), run_id, run_name, tags=tuple(self.tags[:MOST_TAGS]), labels=self._labels()
        )

    def flow_of_task(self, ui: str) -> Obj | None:
        """The flow that a task runs in.

        It gets the tags of the task as well: Prefect tells all in one list, and a tag that both have only once.
        """
        if "flow" not in self._roles and "flow-run" not in self._roles:
            return None
        flow = self.flow(self._id("flow-run"), self._name("flow-run"))
        flow.url = url_of(ui, "flow", flow.run_id)
        return flow

    def _labels(self) -> dict[str, str]:
        pool = self._roles.get("work-pool")
        labels = {
            "deployment": self._name("deployment"),
            "deployment_id": self._id("deployment"),
            "work_pool": self._name("work-pool"),
            "work_pool_type": "" if pool is None else pool.text("prefect.work-pool.type"),
            "work_queue": self._name("work-queue"),
            "flow_id": self._id("flow"),
            "created_by": self._name("creator"),
        }
        return {key: value for key, value in labels.items() if value}

    def parent(self) -> dict[str, str]:
        """The label that names the task run that the run was started by, if one was."""
        return {"parent": name} if (name := self._name("task-run")) else {}

    def _name(self, role: str) -> str:
        resource = self._roles.get(role)
        return "" if resource is None else resource.text("prefect.resource.name")

    def _id(self, role: str) -> str:
        resource = self._roles.get(role)
        return "" if resource is None else resource.text("prefect.resource.id").removeprefix(f"prefect.{role}.")


def step_of(state: Part) -> Step | None:
    """Type and name of a state; ``None``, and a complaint, if there is no such type."""
    kind = state.text("type", needed=True)
    if kind and kind not in BY_TYPE:
        state.complain("type", f"Prefect 3 has no state type {kind[:50]!r}; right is one of {', '.join(BY_TYPE)}")
        return None
    return (kind, state.text("name")) if kind else None


def state_of(state: Part, step: Step, before: Step | None, timestamp: datetime, run_count: int = 0) -> State:
    """The state that ``state`` describes, which is ``step`` and came after ``before``."""
    cls = state_class(*step, None if before is None else before[0])
    message = state.message("message")
    return cls(
        message,
        failure_in(message) if cls.type in PREDICATES["failed"] | PREDICATES["retrying"] else None,
        name=step[1] or cls.type,
        timestamp=timestamp,
        start_time=state.part("state_details").instant("scheduled_time") if cls.type in _DUE else None,
        run_count=run_count,
        final=True if cls.type in PREDICATES["finished"] else None,
    )


_DUE = PREDICATES["scheduled"]
"""States that are due at a time."""

_FAILURE = re.compile(r"(?:(?:Flow|Task) run|Execution).{0,60}? exception:? ([A-Za-z_][\w.]*)(?:: (.*))?", re.DOTALL)
"""How Prefect begins the message of a state that an exception led to."""


def failure_in(message: str | None) -> dict[str, str] | None:
    """Type and message of the exception that Prefect wrote into the message of a state; ``None`` if it is not there."""
    found = None if message is None else _FAILURE.match(message)
    return None if found is None else {"type": found[1], "message": (found[2] or "").strip()}


def attempts_before(step: Step, run_count: int) -> int:
    """How many attempts a task had made when it went to the ``step`` of a retry; at least 1.

    A running state counts as the next attempt already.
    """
    return max(1, run_count - 1 if step[0] == "RUNNING" else run_count)


def task_of(run: Part, run_id: str, run_name: str, flow: Obj | None, ui: str) -> Obj:
    """The task whose run ``run`` describes."""
    policy = run.part("empirical_policy")
    return Obj(
        "task",
        task_name(run_name, run.text("task_key"), run.text("dynamic_key")),
        run_id,
        run_name,
        tags=tuple(sorted(run.texts("tags"))[:MOST_TAGS]),
        labels=labels_of(run.part("labels")),
        flow=flow,
        max_retries=policy.count("retries") or policy.count("max_retries"),
        url=url_of(ui, "task", run_id),
        started_at=run.instant("start_time"),
    )


def is_alone(run: Part) -> bool:
    """Whether a task was called outside of a flow, which its dynamic key tells.

    The events of such a one name a flow all the same: whichever its process had run before.
    """
    task_key = run.text("task_key")
    return bool(task_key) and run.text("dynamic_key").startswith(f"{task_key}-")


def task_name(run_name: str, task_key: str, dynamic_key: str) -> str:
    """The name of a task, as its author wrote it, as far as can be known.

    A run is named ``NAME-ABC``, of which ``ABC`` begins its dynamic key; one outside of a flow just ``NAME``. A run
    that has a name of its own tells nothing of the task's: then it is the function's, which the task's key begins with.
    """
    for suffix in (dynamic_key[:3], dynamic_key):
        if suffix and run_name.endswith(f"-{suffix}"):
            return run_name.removesuffix(f"-{suffix}")
    function = task_key.rpartition("-")[0] or task_key
    return run_name if not function or dynamic_key.startswith(f"{task_key}-") else function


def labels_of(labels: Part) -> dict[str, str]:
    """The labels that users gave a run; numbers and truths become text. Prefect's own say what others here say."""
    return {
        key: labels.text(key) if type(value) is str else str(value)
        for key, value in list(labels.values.items())[:MOST_TAGS]
        if type(key) is str and not key.startswith("prefect.") and type(value) in (str, int, float, bool)
    }


_PAGES: Mapping[Kind, str] = {"flow": "flow-run", "task": "task-run"}


def url_of(ui: str, kind: Kind, run_id: str) -> str:
    """Prefect's page of a run; ``""`` if it is not known where its pages are."""
    return f"{ui.rstrip('/')}/runs/{_PAGES[kind]}/{run_id}" if ui and run_id else ""
