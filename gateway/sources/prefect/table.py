"""Which state of ours each state of Prefect 3 is: by its type first, by its name second.

Types are a closed list, names are anything a flow's author likes: a state of an unknown name is what its type says.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway import states
from gateway.states import State

BY_TYPE: Mapping[str, type[State]] = {
    "SCHEDULED": states.Scheduled,
    "PENDING": states.Pending,
    "RUNNING": states.Running,
    "COMPLETED": states.Success,
    "FAILED": states.Failed,
    "CANCELLED": states.Cancelled,
    "CRASHED": states.Crashed,
    "PAUSED": states.Paused,
    "CANCELLING": states.Cancelling,
}
"""What a state of this type is, unless its name says more."""

BY_NAME: Mapping[tuple[str, str], type[State]] = {
    ("SCHEDULED", "Late"): states.Late,
    ("SCHEDULED", "AwaitingConcurrencySlot"): states.Queued,
    ("SCHEDULED", "AwaitingRetry"): states.Retrying,
    ("SCHEDULED", "Resuming"): states.Resume,
    ("PENDING", "Submitting"): states.Submitted,
    ("PENDING", "InfrastructurePending"): states.Submitted,
    ("PENDING", "NotReady"): states.TriggerFailed,
    ("COMPLETED", "Cached"): states.Cached,
    ("COMPLETED", "Skipped"): states.Skipped,
    ("COMPLETED", "RolledBack"): states.RolledBack,
    ("FAILED", "TimedOut"): states.TimedOut,
}
"""The names that say more.

``NotReady`` never runs, though Prefect calls it pending; ``Skipped`` is a custom of users, who had it in Prefect 1.
"""

RETRYING = "Retrying"
"""Prefect's name of a running state: of a second attempt, or of a further one."""


def state_class(kind: str, name: str, before: str | None = None) -> type[State]:
    """The class of a Prefect state.

    Args:
        kind: its type, such as ``"FAILED"``.
        name: its name, such as ``"TimedOut"``.
        before: the type of the state before, if there was one.

    A task that fails and has a retry left goes to ``AwaitingRetry`` and then to ``Retrying``, which is running;
    without a delay between attempts, straight from running to ``Retrying``. That one step is the only word of the
    retry: it is our :class:`~gateway.states.Retrying`.

    Raises:
        KeyError: there is no such type.
    """
    if (kind, name, before) == ("RUNNING", RETRYING, "RUNNING"):
        return states.Retrying
    return BY_NAME.get((kind, name)) or BY_TYPE[kind]
