"""The JSON form of a transition, as the argument EVENT of the command line takes it, and as HTTP brings it.

Validated by pydantic, then turned into the slotted classes that rules and templates see.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import from_json, to_json

from gateway.delivery.payload import DEFAULT_SOURCE
from gateway.encoding import LONGEST_NAME as LONGEST_NAME  # for whoever reads other events
from gateway.errors import PayloadError
from gateway.spelling import nearest
from gateway.states import PREDICATES, STATES, State
from gateway.transition import MAX_ITEMS, MAX_TEXT, Kind, Obj, Transition, new_id

T = TypeVar("T")

MOST_TAGS = 200
LARGEST_COUNT = 2**31 - 1

MOST_TRANSITIONS = 10_000
"""At most so many in one body."""

NOT_JSON = "not JSON: "
"""With this begins the complaint about what is not even JSON."""

MOST_COMPLAINTS, LONGEST_COMPLAINT = 20, 300
"""At most so much is said of one transition: its keys come from outside."""

BodyKind = Literal["json", "lines"]
"""What a body holds: one JSON object or an array of them; or an object on each line."""

Name = Annotated[str, Field(max_length=LONGEST_NAME)]
Text = Annotated[str, Field(max_length=MAX_TEXT + 1)]
"""What was cut to ``MAX_TEXT`` ends in an ellipsis."""


def _state_type(value: str) -> str:
    if value in STATES:
        return value
    hint = nearest(value, STATES)
    raise ValueError(f"there is no state {value[:100]!r}" + (f", did you mean {hint!r}?" if hint else ""))


EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Times in between can be told in any zone."""

_INSTANT = {"type": "string", "format": "date-time", "pattern": "^(19|[2-8][0-9])[0-9]{2}-"}
Instant = Annotated[AwareDatetime, Field(ge=EARLIEST, le=LATEST), WithJsonSchema(_INSTANT)]


def _whole(value: object) -> object:
    """``3.0`` is a whole number to JSON."""
    return int(value) if type(value) is float and value.is_integer() else value


def _count(least: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "integer", "minimum": least, "maximum": LARGEST_COUNT})


Count = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=LARGEST_COUNT), _count(0)]
MapIndex = Annotated[int, BeforeValidator(_whole), Field(ge=-1, le=LARGEST_COUNT), _count(-1)]


def _utc(instant: datetime) -> datetime:
    """``instant`` in UTC; most are, and ``astimezone`` takes its time."""
    return instant.astimezone(UTC) if instant.utcoffset() else instant.replace(tzinfo=UTC)


class Part(BaseModel):
    """A part of a transition's JSON form; keys it does not know are refused, so that a typo is seen.

    Values are taken as they are written, a number in quotes is none: what is kept is the text itself.
    """

    model_config = ConfigDict(extra="forbid", strict=True)


StateType = Annotated[
    str, AfterValidator(_state_type), WithJsonSchema({"type": "string", "enum": [*STATES]}, mode="validation")
]


class StatePayload(Part):
    """A state; only ``type`` is needed."""

    type: StateType = Field(description="one of the state classes, such as Failed")
    name: Name | None = Field(default=None, description="the engine's own word; the type unless given")
    message: Text | None = Field(default=None, description="text for people")
    result: Any = Field(default=None, description="the data it carries")
    timestamp: Instant | None = Field(default=None, description="when it was created")
    start_time: Instant | None = Field(default=None, description="when the run is due")
    run_count: Count = Field(default=0, description="attempts so far")
    final: bool | None = Field(default=None, description="false if the engine will retry")
    context: dict[str, Any] = Field(default_factory=dict, description="what the engine noted beside it")
    state: StatePayload | None = Field(default=None, description="the state a queued or submitted one is about")

    def build(self, occurred_at: datetime) -> State:
        """The state it describes, created ``occurred_at`` unless it says when."""
        fields: dict[str, Any] = {}
        if self.state is not None and self.type in PREDICATES["meta_state"]:
            fields["state"] = self.state.build(occurred_at)
        return STATES[self.type](
            self.message,
            self.result,
            context=self.context,
            name=self.name or self.type,
            timestamp=self.timestamp or occurred_at,
            start_time=self.start_time,
            run_count=self.run_count,
            final=self.final,
            **fields,
        )


class FlowPayload(Part):
    """The flow a task runs in."""

    name: Name = Field(description="its name in the engine")
    run_id: Name = ""
    run_name: Name = ""
    tags: list[Name] = Field(default_factory=list, max_length=MOST_TAGS)
    parameters: dict[str, Any] = Field(default_factory=dict)
    labels: dict[str, Text] = Field(default_factory=dict)
    url: Text = ""
    started_at: Instant | None = Field(default=None, description="when the run began to work")
    log: list[Text] = Field(default_factory=list, max_length=MAX_ITEMS, description="the last lines it logged")

    def build(self) -> Obj:
        """The flow it describes."""
        return self._built("flow")

    def _built(self, kind: Kind) -> Obj:
        return Obj(
            kind,
            self.name,
            self.run_id,
            self.run_name,
            tuple(self.tags),
            self.parameters,
            self.labels,
            url=self.url,
            started_at=None if self.started_at is None else _utc(self.started_at),
            log=tuple(self.log),
        )


class ObjPayload(FlowPayload):
    """The task or flow that changed."""

    kind: Kind = Field(description="task or flow")
    flow: FlowPayload | None = Field(default=None, description="for a task, the flow it runs in")
    max_retries: Count = 0
    map_index: MapIndex | None = None

    def build(self) -> Obj:
        """The task or flow it describes."""
        built = self._built(self.kind)
        built.flow = None if self.flow is None else self.flow.build()
        built.max_retries, built.map_index = self.max_retries, self.map_index
        return built


class TransitionPayload(Part):
    """One transition."""

    id: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="makes a repeat harmless"
    )
    source: Annotated[str, Field(max_length=100)] = Field(default=DEFAULT_SOURCE, description="where it came from")
    obj: ObjPayload
    old_state: StatePayload | None = None
    new_state: StatePayload
    occurred_at: Instant | None = Field(default=None, description="when it happened; now unless given")

    def build(self, text: str = "") -> Transition:
        """The transition it describes; what is missing of id and time, it is given now.

        Args:
            text: the JSON it was read from, if there is one of it alone.
        """
        if self.id is None or self.occurred_at is None:
            self.id = self.id or new_id()
            self.occurred_at = self.occurred_at or datetime.now(UTC)
            text = ""
        return Transition.of(
            self.obj.build(),
            None if self.old_state is None else self.old_state.build(self.occurred_at),
            self.new_state.build(self.occurred_at),
            id=self.id,
            source=self.source,
            occurred_at=_utc(self.occurred_at),
            text=text or self.model_dump_json(exclude_unset=True, exclude_none=True),
        )


def parse_transition(data: str | bytes) -> Transition:
    """The transition a JSON object describes.

    Raises:
        PayloadError: it is not JSON, or not of that form; says which keys and what would be right.
    """
    try:
        payload = TransitionPayload.model_validate_json(data)
        return payload.build(data if isinstance(data, str) else data.decode())
    except ValidationError as error:
        raise PayloadError(complaints_of(error)) from None


_MANY = TypeAdapter(Annotated[list[TransitionPayload], FailFast()])


def parse_transitions(body: bytes, kind: BodyKind) -> list[Transition | PayloadError]:
    """The transitions that ``body`` describes, in order; in place of each that is not one, what is wrong with it.

    Raises:
        PayloadError: it is not JSON, or describes more than :data:`MOST_TRANSITIONS`.
    """
    if kind == "lines":
        return [_parsed(line) for line in _few(body.split(b"\n")) if line.strip()]
    if body.lstrip(b" \t\r\n")[:1] == b"[":
        return _parsed_array(body)
    parsed = _parsed(body)
    if isinstance(parsed, PayloadError) and parsed.complaints[0].startswith(NOT_JSON):
        raise parsed
    return [parsed]


def _parsed(data: bytes) -> Transition | PayloadError:
    try:
        return parse_transition(data)
    except PayloadError as error:
        return error


def _parsed_array(body: bytes) -> list[Transition | PayloadError]:
    """All at once, and one by one if any is wrong."""
    try:
        return [payload.build() for payload in _few(_MANY.validate_json(body))]
    except ValidationError:
        return [_parsed(written(item)) for item in items_of(body)]


def items_of(body: bytes) -> list[Any]:
    """The items of a JSON array.

    Raises:
        PayloadError: it is not JSON, or has more than :data:`MOST_TRANSITIONS`.
    """
    try:
        items: list[Any] = from_json(body)
    except ValueError as error:
        raise PayloadError([f"{NOT_JSON}{error}"]) from None
    return _few(items)


def written(item: Any) -> bytes:
    """One of them as JSON again."""
    return to_json(item, inf_nan_mode="constants")


def _few(items: list[T]) -> list[T]:
    if len(items) > MOST_TRANSITIONS:
        raise PayloadError([f"more than {MOST_TRANSITIONS} transitions at once: send them in several requests"])
    return items


def complaints_of(error: ValidationError) -> list[str]:
    """What pydantic found wrong, in our words."""
    found = error.errors(include_url=False, include_input=False)
    return [_complaint(one)[:LONGEST_COMPLAINT] for one in found[:MOST_COMPLAINTS]]


def _complaint(found: Any) -> str:
    place = ".".join(str(part) for part in found["loc"]) or "the event"
    match found["type"]:
        case "extra_forbidden":
            return f"{place}: there is no such key"
        case "missing":
            return f"{place}: is missing"
        case "json_invalid":
            return f"{NOT_JSON}{found['msg'].removeprefix('Invalid JSON: ')}"
    return f"{place}: {found['msg'].removeprefix('Value error, ')}"
