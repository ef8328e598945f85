"""Models: what is sent back and what may be asked, as JSON. OpenAPI is made from them.

Each is built when it is first used, so that a start does not wait for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    WithJsonSchema,
)

from gateway.channels.base import OutcomeKind
from gateway.config import duration
from gateway.config.duration import parse_duration
from gateway.config.source import Problem as ConfigProblem
from gateway.config.source import ProblemSeverity
from gateway.delivery.reasons import WHY
from gateway.explain import Explanation as Explained
from gateway.format import Format, Severity
from gateway.reload import Reloaded as ReloadRecord
from gateway.states import STATES
from gateway.store import rows
from gateway.store.ledger import total
from gateway.store.rows import Status
from gateway.transition import Kind

LARGEST_NUMBER = 2**63 - 1
LARGEST_PAGE = 500


class Told(BaseModel):
    """What is sent back; has no keys but its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


# taking transitions


class Wrong(Told):
    """One of several transitions that is not one."""

    index: int = Field(ge=0, description="its position, from 0; blank lines do not count")
    complaints: tuple[str, ...] = Field(description="everything that is wrong with it")


class Taken(Told):
    """What became of the transitions of a request; all that was accepted is on the disk."""

    accepted: int = Field(ge=0, description="how many are new")
    duplicates: int = Field(ge=0, description="how many were known by their id, and change nothing")
    errors: tuple[Wrong, ...] = Field(default=(), description="those that were not taken")


class EventsTaken(Taken):
    """What became of the events of a request; all that was accepted is on the disk."""

    ignored: int = Field(ge=0, description="how many told of no change of a state, or of none that is declared")


# transitions and deliveries


class Attempt(Told):
    """One try of a delivery."""

    at: datetime = Field(description="when it began")
    outcome: OutcomeKind
    reason: str = Field(description="one word out of a closed list")
    why: str = Field(description="what the reason means")
    detail: str = Field(description="what the service said, shortened")
    milliseconds: int

    @classmethod
    def of(cls, made: rows.Attempt) -> Self:
        """``made`` as it is told."""
        return cls(
            at=made.at,
            outcome=made.outcome,
            reason=made.reason,
            why=WHY.get(made.reason, ""),
            detail=made.detail,
            milliseconds=made.milliseconds,
        )


class Delivery(Told):
    """One notification to one channel."""

    id: int = Field(description="its number")
    handler: str = Field(description="the handler that it is of")
    channel: str = Field(description="the channel it goes to")
    status: Status = Field(description="where it stands")
    reason: str = Field(description="why it stands there, one word; empty when there is nothing to say")
    why: str = Field(description="what the reason means")
    title: str = Field(description="of the message")
    severity: Severity = Field(description="of the message")
    format: Format = Field(description="what the message is written in")
    attempts: int = Field(description="how many were made")
    required: bool = Field(description="whether it was delivered inside the transition")
    due_at: datetime = Field(description="a pending one is not sent earlier")
    give_up_at: datetime = Field(description="no attempt is made later")
    created_at: datetime = Field(description="when it was accepted")
    updated_at: datetime = Field(description="when it last changed")
    fallback_of: int | None = Field(description="the delivery that was given up and became this one")

    @classmethod
    def of(cls, one: rows.Delivery) -> Self:
        """``one`` as it is told."""
        return cls(**_of_delivery(one))


class DeliveryPage(Told):
    """Deliveries, newest first."""

    deliveries: tuple[Delivery, ...]
    next: str | None = Field(description="give it as before= for the next page; null on the last one")


class Transition(Told):
    """A transition, by what it can be asked for."""

    id: str = Field(description="the sender's, or ours")
    source: str = Field(description="where it came from")
    kind: Kind = Field(description="whether a task or a flow changed")
    name: str = Field(description="of the task or flow")
    flow: str = Field(description="the flow it belongs to, or is; empty if unknown")
    run_id: str = Field(description="the engine's id of the run; empty if unknown")
    old_state: str | None = Field(description="the type of the state before; null if unknown")
    new_state: str = Field(description="the type of the state after")
    matched: bool = Field(description="whether any handler matched")
    occurred_at: datetime = Field(description="when it happened, by the sender's clock")
    received_at: datetime = Field(description="when it was accepted")

    @classmethod
    def of(cls, row: rows.TransitionRow) -> Self:
        """``row`` as it is told."""
        return cls(**_of_transition(row))


class TransitionPage(Told):
    """Transitions, newest first."""

    transitions: tuple[Transition, ...]
    next: str | None = Field(description="give it as before= for the next page; null on the last one")


class TransitionDetail(Transition):
    """A transition with everything that is known of it."""

    event: dict[str, Any] = Field(description="the whole of it, in the form in which transitions are taken")
    deliveries: tuple[Delivery, ...] = Field(description="what it caused, as in lists")

    @classmethod
    def whole(cls, row: rows.TransitionRow, deliveries: Iterable[rows.Delivery]) -> Self:
        """``row`` and what it caused, as they are told."""
        told = tuple(map(Delivery.of, deliveries))
        return cls(**_of_transition(row), event=json.loads(row.payload), deliveries=told)


class RefusedEvent(Told):
    """An event that was not understood."""

    id: int = Field(description="its number")
    source: str = Field(description="where it came from")
    received_at: datetime = Field(description="when it came")
    complaint: str = Field(description="everything that is wrong with it")
    event: str = Field(description="the event as it came; of a very long one, the beginning")

    @classmethod
    def of(cls, one: rows.Refused) -> Self:
        """``one`` as it is told."""
        return cls(id=one.id, source=one.source, received_at=one.received_at, complaint=one.complaint, event=one.event)


class RefusedPage(Told):
    """Events that were not understood, newest first."""

    refused: tuple[RefusedEvent, ...]
    next: str | None = Field(description="give it as before= for the next page; null on the last one")


class DeliveryDetail(Delivery):
    """A delivery with everything that is known of it."""

    body: str = Field(description="the message")
    tries: tuple[Attempt, ...] = Field(description="every attempt, the first first")
    transition: Transition = Field(description="what caused it")

    @classmethod
    def whole(cls, history: rows.DeliveryHistory) -> Self:
        """``history`` as it is told."""
        return cls(
            **_of_delivery(history.delivery),
            body=history.delivery.body,
            tries=tuple(map(Attempt.of, history.attempts)),
            transition=Transition.of(history.transition),
        )


def _of_delivery(one: rows.Delivery) -> dict[str, Any]:
    names = [name for name in Delivery.model_fields if name != "why"]
    return {**{name: getattr(one, name) for name in names}, "why": WHY.get(one.reason, "")}


def _of_transition(row: rows.TransitionRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "source": row.source,
        "kind": row.kind,
        "name": row.obj_name,
        "flow": row.flow_name,
        "run_id": row.run_id,
        "old_state": row.old_type,
        "new_state": row.new_type,
        "matched": row.matched,
        "occurred_at": row.occurred_at,
        "received_at": row.received_at,
    }


# the ledger


class Account(Told):
    """Where everything is that was accepted."""

    accepted: int
    delivered: int
    suppressed: int
    dead: int
    cancelled: int
    owed: int
    balances: bool = Field(description="accepted = delivered + suppressed + dead + cancelled + owed")


class LedgerLine(Account):
    """The account of one handler's deliveries to one channel, since the store was made."""

    handler: str
    channel: str


class Counters(Told):
    """Counts of transitions since the store was made."""

    transitions: int = Field(description="accepted")
    unmatched: int = Field(description="of these, those no handler matched")
    duplicates: int = Field(description="not accepted again")
    refused: int = Field(description="events of a source that were not understood")
    late_records: int = Field(description="outcomes that came when the delivery belonged to another node")
    deliveries_forgotten: int = Field(description="deleted because they had been kept long enough")
    transitions_forgotten: int = Field(description="the same of transitions")


class Ledger(Told):
    """The books of the gateway."""

    total: Account
    lines: tuple[LedgerLine, ...]
    counters: Counters

    @classmethod
    def of(cls, lines: tuple[rows.LedgerLine, ...], counters: dict[str, int]) -> Self:
        """The books as they are told."""
        return cls(
            total=Account(**_of_line(total(lines), Account)),
            lines=tuple(LedgerLine(**_of_line(line, LedgerLine)) for line in lines),
            counters=Counters(**{name: counters.get(name, 0) for name in Counters.model_fields}),
        )


def _of_line(line: rows.LedgerLine, model: type[Account]) -> dict[str, Any]:
    return {name: getattr(line, name) for name in model.model_fields}


# explain


class WouldSend(Told):
    """One message that would be sent."""

    channel: str
    format: Format
    title: str
    message: str
    severity: Severity
    error: str = Field(description="why it is a plain text: what the template failed with; empty if it did not")


class HandlerExplanation(Told):
    """What one handler would do."""

    handler: str
    fires: bool
    why: str
    failed: bool = Field(description="its condition raised; it counts as not matching")
    messages: tuple[WouldSend, ...]


class Explanation(Told):
    """What would be sent for a transition, and why not more."""

    handlers: tuple[HandlerExplanation, ...]

    @classmethod
    def of(cls, explained: Iterable[Explained]) -> Self:
        """What the handlers would do, as it is told."""
        return cls(
            handlers=tuple(
                HandlerExplanation(
                    handler=one.handler,
                    fires=one.fires,
                    why=one.why,
                    failed=one.failed,
                    messages=tuple(
                        WouldSend(**{name: getattr(message, name) for name in WouldSend.model_fields})
                        for message in one.messages
                    ),
                )
                for one in explained
            )
        )


# reload, and orders about deliveries


class Problem(Told):
    """A finding about the configuration."""

    severity: ProblemSeverity
    file: str
    line: int = Field(description="from 1; 0 when it is about the whole file")
    column: int
    key: str
    message: str
    hint: str | None = Field(description="a replacement, if one can be guessed")

    @classmethod
    def of(cls, problem: ConfigProblem) -> Self:
        """``problem`` as it is told."""
        return cls(**{name: getattr(problem, name) for name in cls.model_fields})


class Reloaded(Told):
    """What came of reading the configuration."""

    accepted: bool = Field(description="whether it is in force; if not, the last good one still is")
    changes: tuple[str, ...] = Field(description="what changed, in words")
    problems: tuple[Problem, ...]
    seconds: float

    @classmethod
    def of(cls, record: ReloadRecord) -> Self:
        """``record`` as it is told."""
        return cls(
            accepted=record.accepted,
            changes=record.changes,
            problems=tuple(map(Problem.of, record.problems)),
            seconds=round(record.seconds, 6),
        )


# health


class Alive(Told):
    """The process answers."""

    status: Literal["alive"]


class Ready(Told):
    """Transitions can be taken."""

    status: Literal["ready"]


class NotReady(Told):
    """Transitions cannot be taken now."""

    status: Literal["not ready"]
    why: str


# descriptions


class Description(BaseModel):
    """A description of the API, in the form of OpenAPI 3.1."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


class Text(RootModel[str]):
    """Text, not JSON."""


# refusals


class Refusal(BaseModel):
    """Why a request is not carried out, as RFC 9457 has it."""

    model_config = ConfigDict(defer_build=True)

    title: str
    status: int
    detail: str


class Invalid(Refusal):
    """The query, the path or the body cannot be understood."""

    complaints: tuple[str, ...] = ()


class NothingTaken(Refusal):
    """No transition of the request was taken."""

    accepted: Literal[0]
    duplicates: Literal[0]
    errors: tuple[Wrong, ...]


class NoEventTaken(Refusal):
    """No event of the request was understood."""

    accepted: Literal[0]
    duplicates: Literal[0]
    ignored: Literal[0]
    errors: tuple[Wrong, ...]


class ReloadRefused(Invalid):
    """The configuration has errors, and the last good one stays; or the request itself is wrong."""

    accepted: Literal[False] = False
    changes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    seconds: float = 0.0


# what may be asked


def _since(value: str) -> str | datetime:
    """The time so long ago, or a text that is to be a time."""
    if _DURATION.fullmatch(value):
        return datetime.now(UTC) - parse_duration(value)
    if not _TIME.match(value):
        raise ValueError("must be a time with its zone, such as 2026-03-29T01:30:00Z, or a duration such as 2h")
    return value


_DURATION, _TIME = re.compile(duration.PATTERN), re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def _storable(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not hold the character NUL")
    return value


def _state(value: str) -> str:
    if value not in STATES:
        raise ValueError(f"there is no state {value[:100]!r}")
    return value


_MOMENT = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "pattern": "^[1-9][0-9]{0,2}(d|h|m|s)$"},
    ]
}

Moment = Annotated[AwareDatetime, BeforeValidator(_since), WithJsonSchema(_MOMENT)]
_WORD = {"type": "string", "maxLength": 1000, "pattern": r"^[^\u0000]*$"}
Word = Annotated[str, AfterValidator(_storable), Field(max_length=1000), WithJsonSchema(_WORD)]
StateType = Annotated[str, AfterValidator(_state), WithJsonSchema({"type": "string", "enum": sorted(STATES)})]
Number = Annotated[int, Field(ge=0, le=LARGEST_NUMBER)]


class Query(BaseModel):
    """What may stand behind the question mark."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class NoOrders(BaseModel):
    """An empty object: the path says everything. A body all the same, since no page can send one of JSON unasked."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Page(Query):
    """Which part of a long answer."""

    limit: int = Field(default=50, ge=1, le=LARGEST_PAGE, description="at most so many")
    before: Number | None = Field(default=None, description="`next` of the page before")


class TransitionQuery(Page):
    """Which transitions to list."""

    flow: Word | None = Field(default=None, description="the name of the flow they belong to, or are")
    task: Word | None = Field(default=None, description="the name of the task")
    run_id: Word | None = Field(default=None, description="the engine's id of the run")
    source: Word | None = Field(default=None, description="where they came from")
    state: StateType | None = Field(default=None, description="the type of the new state")
    matched: bool | None = Field(default=None, description="whether any handler matched")
    since: Moment | None = Field(default=None, description="received since: a time, or a duration such as 2h")


class DeliveryQuery(Page):
    """Which deliveries to list."""

    status: Status | None = Field(default=None, description="where they stand")
    channel: Word | None = Field(default=None, description="the name of the channel they go to")
    handler: Word | None = Field(default=None, description="the name of the handler that they are of")
    transition: Word | None = Field(default=None, description="the id of what caused them")
    since: Moment | None = Field(default=None, description="accepted since: a time, or a duration such as 2h")
