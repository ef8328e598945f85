"""What goes into the store and comes out of it: transitions, deliveries, attempts, the ledger's lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from gateway.channels.base import OutcomeKind
from gateway.format import Format, Severity
from gateway.transition import Kind

Status = Literal["pending", "claimed", "delivered", "suppressed", "cancelled", "dead"]
"""``pending`` and ``claimed`` are owed, the others are ends; ``dead`` and ``cancelled`` can be undone by hand."""


@dataclass(frozen=True, slots=True)
class TransitionRow:
    """A transition as it is kept: what is asked for in columns, the whole of it in ``payload`` (JSON).

    ``seq`` and ``matched``, whether any handler did, are known once it is there.
    """

    id: str
    source: str
    kind: Kind
    obj_name: str
    flow_name: str
    run_id: str
    old_type: str | None
    new_type: str
    payload: str
    occurred_at: datetime
    received_at: datetime
    seq: int = 0
    matched: bool = True


@dataclass(frozen=True, slots=True)
class Run:
    """A run's last state, for sources that do not tell the state before.

    Attributes:
        source, run_id: which run.
        type, name: of its state.
        occurred_at: when it came into that state; one that occurred earlier never takes its place.
    """

    source: str
    run_id: str
    type: str
    name: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Position:
    """Up to which occurrence everything of a source is kept."""

    source: str
    until: datetime


@dataclass(frozen=True, slots=True)
class NewRefused:
    """An event on its way into the store that was not understood: what is wrong with it, and its text."""

    source: str
    received_at: datetime
    complaint: str
    event: str


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that was not understood, as it is kept; ``id`` grows."""

    id: int
    source: str
    received_at: datetime
    complaint: str
    event: str


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A delivery on its way into the store.

    Attributes:
        claimed: insert it as this node's own, to be sent from memory.
        suppressed: why it is not to be sent; ``""`` when it is.
        required: somebody waits for it inside the transition.
        give_up_after: no attempt is made later than this after its creation.
    """

    handler: str
    channel: str
    title: str
    body: str
    format: Format
    severity: Severity
    give_up_after: timedelta
    claimed: bool = False
    suppressed: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notification to one channel, as it stands in the store.

    Attributes:
        id: grows; never given twice.
        transition_seq: the transition that caused it.
        status: see :data:`Status`.
        reason: why it waits or how it ended, one short word.
        due_at: not to be sent earlier.
        attempts: attempts made so far.
        forgiven: how many of them do not count towards the limit of attempts.
        give_up_at: no attempt is made later.
        give_up_after: the length of that, for another round by hand.
        owner: the node that has claimed it.
        fallback_of: the delivery that gave up and became this one.
    """

    id: int
    transition_seq: int
    handler: str
    channel: str
    status: Status
    reason: str
    due_at: datetime
    attempts: int
    forgiven: int
    title: str
    body: str
    format: Format
    severity: Severity
    required: bool
    created_at: datetime
    updated_at: datetime
    give_up_at: datetime
    give_up_after: timedelta
    owner: int | None = None
    fallback_of: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a delivery: when it began, what came of it, how long it took."""

    at: datetime
    outcome: OutcomeKind
    reason: str
    detail: str
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A transition and its deliveries, to be kept in one transaction.

    One without deliveries matched no handler; with ``kept`` false it is counted and leaves no row. A ``run``
    is kept with it, for the next transition of that run to know the state before.
    """

    transition: TransitionRow
    deliveries: tuple[NewDelivery, ...]
    kept: bool = True
    run: Run | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of an :class:`Acceptance`.

    Attributes:
        duplicate: a transition of that id was there already; nothing was inserted.
        deliveries: those inserted, in the order they were given.
    """

    duplicate: bool
    deliveries: tuple[Delivery, ...] = ()

    @property
    def claimed(self) -> tuple[Delivery, ...]:
        """Those this node is to send at once, without the required ones."""
        return tuple(d for d in self.deliveries if d.status == "claimed" and not d.required)

    @property
    def required(self) -> tuple[Delivery, ...]:
        """Those to be delivered inside the transition."""
        return tuple(d for d in self.deliveries if d.status == "claimed" and d.required)


@dataclass(frozen=True, slots=True)
class Record:
    """What a dispatcher writes down about a delivery it holds; afterwards it holds it no more.

    Attributes:
        delivery: as it was claimed.
        status: what it is from now on.
        reason: why, one short word.
        at: when this was decided.
        due_at: when a pending one is due again.
        attempt: the attempt made; ``None`` when none was.
        counted: the attempt counts towards the limit of attempts.
        fallback: what is sent instead; inserted as this node's own.
    """

    delivery: Delivery
    status: Status
    reason: str
    at: datetime
    due_at: datetime
    attempt: Attempt | None = None
    counted: bool = True
    fallback: NewDelivery | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a :class:`Record`.

    Attributes:
        kept: it was written; ``False`` when the delivery was this node's no longer.
        fallback: the delivery that takes over.
    """

    kept: bool
    fallback: Delivery | None = None


@dataclass(frozen=True, slots=True)
class Want:
    """A dispatcher's wish to claim: up to ``limit`` deliveries of ``channel`` that are due at ``now``."""

    channel: str
    limit: int
    now: datetime


@dataclass(frozen=True, slots=True)
class WantExpired:
    """A dispatcher's wish to claim what has waited too long.

    Attributes:
        channels: those it can speak for: theirs are claimed once ``give_up_at`` has passed.
        now: the time.
        orphan_grace: what belongs to other channels is claimed this much later, so that a gateway
            that knows the channel has had its chance.
        limit: how many at most.
    """

    channels: tuple[str, ...]
    now: datetime
    orphan_grace: timedelta
    limit: int


@dataclass(frozen=True, slots=True)
class TransitionFilter:
    """Which transitions to list; what is ``None`` does not matter. ``since`` is about when they were received."""

    flow: str | None = None
    task: str | None = None
    run_id: str | None = None
    source: str | None = None
    state: str | None = None
    matched: bool | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries to list; what is ``None`` does not matter. ``since`` is about their creation."""

    status: Status | None = None
    channel: str | None = None
    handler: str | None = None
    since: datetime | None = None
    transition_seq: int | None = None


@dataclass(frozen=True, slots=True)
class DeliveryHistory:
    """One delivery with everything known about it."""

    delivery: Delivery
    attempts: tuple[Attempt, ...]
    transition: TransitionRow


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """The count of one handler's deliveries to one channel since the store was made."""

    handler: str
    channel: str
    accepted: int = 0
    delivered: int = 0
    suppressed: int = 0
    dead: int = 0
    cancelled: int = 0
    owed: int = 0

    @property
    def balances(self) -> bool:
        """Whether everything accepted is accounted for."""
        return self.accepted == self.delivered + self.suppressed + self.dead + self.cancelled + self.owed


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A gateway process on the store."""

    id: int
    pid: int
    started_at: datetime
    heartbeat_at: datetime
    config_hash: str


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat found: our id (a new one if we had been given up), and the others' counts of beats."""

    node: int
    others: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Oldest:
    """Since when rows are kept: the first end of a delivery, and the first receipt of an unmatched transition."""

    ended_at: datetime | None
    unmatched_at: datetime | None
