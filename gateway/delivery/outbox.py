"""Outbox: the door by which notifications become durable. Accepted means committed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from datetime import datetime

from gateway.delivery.clock import Clock, StoreClock
from gateway.delivery.notification import Notification
from gateway.encoding import encode
from gateway.store.rows import Acceptance, Accepted, NewDelivery, Run, TransitionRow
from gateway.store.store import Store
from gateway.transition import Transition

NOTHING = Accepted(duplicate=False)
"""What was accepted when there was nothing to accept."""


def no_room(channel: str) -> bool:
    """For an outbox without a dispatcher: everything waits in the store for another process."""
    return False


class Outbox:
    """Keeps transitions and their notifications.

    Args:
        store: where.
        clock: tells the time, the store's unless given.
        has_room: whether this process would send a delivery to a channel at once;
            :meth:`~gateway.delivery.dispatcher.Dispatcher.has_room`.
    """

    def __init__(self, store: Store, clock: Clock | None = None, has_room: Callable[[str], bool] = no_room) -> None:
        self._store, self._clock, self._has_room = store, clock or StoreClock(store), has_room

    def accept(self, transition: Transition, notifications: Sequence[Notification]) -> Accepted:
        """Keep ``transition`` and ``notifications``, all or nothing; returns once they are on the disk.

        A transition of an id that is known is a repeat and leaves nothing behind but a count. Without
        notifications nothing is kept at all. Hand ``claimed`` of the answer to the dispatcher, and
        each of ``required`` to its ``deliver_now``.

        Raises:
            StoreError: it could not be kept; nothing of it was.
        """
        return self.submit(transition, notifications).result() if notifications else NOTHING

    def submit(self, transition: Transition, notifications: Sequence[Notification]) -> Future[Accepted]:
        """As :meth:`accept`, without waiting; without notifications, the transition itself is kept all the same."""
        return self._store.accept(self._acceptance(transition, notifications, kept=True))

    def submit_all(
        self,
        told: Iterable[tuple[Transition, Sequence[Notification]]],
        *,
        kept: bool = True,
        with_runs: bool = False,
    ) -> Future[tuple[Accepted, ...]]:
        """As :meth:`submit`, for several transitions in one transaction; each is new or a repeat on its own.

        One without notifications is only counted if ``kept`` is false. With ``with_runs``, the state each run
        is in now is kept beside them.
        """
        return self._store.accept_all([self._acceptance(*one, kept, with_runs) for one in told])

    def _acceptance(
        self, transition: Transition, notifications: Sequence[Notification], kept: bool, with_run: bool = False
    ) -> Acceptance:
        kept = kept or bool(notifications)
        row = _row(transition, self._clock.now(), encode(transition) if kept else "")
        run = _run(row, transition.state.name) if with_run and row.run_id else None
        return Acceptance(row, tuple(self._new(one) for one in notifications), kept, run)

    def _new(self, notification: Notification) -> NewDelivery:
        return NewDelivery(
            handler=_storable(notification.handler),
            channel=_storable(notification.channel),
            title=_storable(notification.title),
            body=_storable(notification.body),
            format=notification.format,
            severity=notification.severity,
            give_up_after=notification.give_up,
            claimed=notification.required or self._has_room(notification.channel),
            suppressed="shadow" if notification.mode == "shadow" else "",
            required=notification.required,
        )


def _row(transition: Transition, now: datetime, payload: str) -> TransitionRow:
    old_state = transition.old_state
    return TransitionRow(
        id=_storable(transition.id),
        source=_storable(transition.source),
        kind=transition.kind,
        obj_name=_storable(transition.obj.name),
        flow_name=_storable(transition.flow.name),
        run_id=_storable(transition.obj.run_id),
        old_type=None if old_state is None else old_state.type,
        new_type=transition.state.type,
        payload=payload,
        occurred_at=transition.occurred_at,
        received_at=now,
    )


def _run(row: TransitionRow, name: str) -> Run:
    """The state that the run of a transition is in after it."""
    return Run(row.source, row.run_id, row.new_type, _storable(name), row.occurred_at)


def _storable(text: str) -> str:
    """``text`` without what no database takes: half characters and NUL."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
