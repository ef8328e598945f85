"""What may be written in the configuration: one frozen model per table, one field per key.

The descriptions and examples here are the source of the JSON schema and of the words of problems;
``docs/configuration.md`` tells the same at length. What one table needs from another (a channel
that ``to`` names, a template file) is checked where the configuration is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    StrictBool,
    StrictInt,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gateway.config import duration, listen, rate, size
from gateway.config.listen import Listen, parse_listen
from gateway.config.outline import Lines
from gateway.config.rate import Rate
from gateway.config.size import Size
from gateway.config.url import Url, UrlError, UrlText, is_web_address, parse_url
from gateway.format import Format, Severity
from gateway.spelling import nearest
from gateway.states import STATES

Mode = Literal["live", "shadow", "off"]
Overflow = Literal["split", "truncate"]
Sync = Literal["full", "normal"]

LONGEST_NAME = 100
DEFAULT_TEMPLATES = "templates"
DEFAULT_STORE = "sqlite:///var/gateway.db"
DEFAULT_PREFECT_API = "http://127.0.0.1:4200/api"
DEFAULT_LISTEN = "127.0.0.1:8787"
SMALLEST_BODY, LARGEST_BODY = Size(1024), Size(64 * 1024 * 1024)
STORE_SCHEMES = ("sqlite:///", "postgresql://")


def wrong(message: str, *, hint: str | None = None, key: str | None = None, **context: Any) -> PydanticCustomError:
    """The error a validator raises: ``message`` in our words, about ``key`` of the table if given."""
    return PydanticCustomError("wrong", "{message}", {"message": message, "hint": hint, "key": key, **context})


def _name(value: str) -> str:
    if not value or value != value.strip():
        raise wrong("a name must not be empty nor start or end with a blank")
    if len(value) > LONGEST_NAME:
        raise wrong(f"a name has at most {LONGEST_NAME} characters")
    if not value.isprintable():
        raise wrong("a name must not hold control characters")
    return value


def _some_text(value: str) -> str:
    if not value.strip():
        raise wrong("is empty: leave the key out instead")
    return value


def _folder(value: str) -> str:
    if "\0" in value:
        raise wrong("must not hold the character NUL")
    return value


def _state(value: str) -> str:
    if value not in STATES:
        raise wrong(f"there is no state {value[:LONGEST_NAME]!r}", hint=nearest(value, STATES))
    return value


def _template_name(value: str) -> str:
    if not value.endswith(".j2"):
        raise wrong("the name of a template file ends in '.j2'")
    if value.startswith("/") or "\\" in value or ".." in value.split("/"):
        raise wrong("must be a path inside the folder of templates, such as 'failed.md.j2'")
    return value


def _at_least_one(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise wrong("names no channel")
    return value


def _one_or_many(value: Any) -> Any:
    """A single text stands for a list of one."""
    return (value,) if isinstance(value, str) else value


def _duration(value: Any) -> timedelta:
    if isinstance(value, int) and not isinstance(value, bool):
        raise wrong(f"a duration is a text with a unit, such as '{value}s' or '{value}ms'")
    try:
        return duration.parse_duration(_text(value, "a duration such as '90s', '10m' or '1h30m'"))
    except ValueError as error:
        raise wrong(str(error)) from None


def _duration_or_none(value: Any) -> timedelta:
    """A duration, or ``"0"`` for not at all."""
    return timedelta() if value == "0" else _duration(value)


def _positive(value: timedelta) -> timedelta:
    if not value:
        raise wrong("must be longer than zero")
    return value


def _rate(value: Any) -> Rate:
    try:
        return rate.parse_rate(_text(value, "a number of messages per duration, such as '30/1m'"))
    except ValueError as error:
        raise wrong(str(error)) from None


def _listen(value: Any) -> Listen:
    try:
        return parse_listen(_text(value, f"a host and a port, such as {DEFAULT_LISTEN!r}"))
    except ValueError as error:
        raise wrong(str(error)) from None


def _body_size(value: Any) -> Size:
    try:
        found = size.parse_size(_text(value, "a size such as '4MiB' or '512KiB'"))
    except ValueError as error:
        raise wrong(str(error)) from None
    if not SMALLEST_BODY <= found <= LARGEST_BODY:
        raise wrong(f"must be between {SMALLEST_BODY} and {LARGEST_BODY}")
    return found


def _text(value: Any, expected: str) -> str:
    if not isinstance(value, str):
        raise wrong(f"must be {expected}")
    return value


def _url(value: Any) -> Url:
    try:
        return parse_url(value)
    except UrlError as error:
        if error.offset is None:
            raise wrong(str(error), key=error.key) from None
        raise wrong(str(error), place=Lines(value).place(error.offset)) from None


def _secret(value: Any) -> Url:
    if not isinstance(value, str | dict):
        raise wrong('must be { env = "NAME" }, { file = "PATH" } or a text in quotes')
    return _url(value)


def _store_url(value: Url) -> Url:
    match value:
        case UrlText(pieces=("", _, "")):  # a secret that holds all of it
            return value
        case UrlText(text=text) if not text.startswith(STORE_SCHEMES):
            raise wrong(
                f"must be a SQLite file such as {DEFAULT_STORE!r} "
                "or a PostgreSQL database such as 'postgresql://gateway@host/gateway'"
            )
    return value


def _web_url(value: Url) -> Url:
    if isinstance(value, UrlText) and not is_web_address(value.text) and value.pieces[0]:
        raise wrong("must begin with http:// or https://")
    return value


_REFERENCES = [
    {
        "type": "object",
        "properties": {key: {"type": "string", "minLength": 1, "description": meaning}},
        "required": [key],
        "additionalProperties": False,
    }
    for key, meaning in (("env", "environment variable that holds it"), ("file", "file that holds it"))
]


def _schema_of_texts(item: Mapping[str, Any], fewest: int = 0) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [dict(item), {"type": "array", "items": dict(item), "minItems": fewest}]})


_NAME_SCHEMA = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}

Name = Annotated[str, AfterValidator(_name)]
SomeText = Annotated[str, AfterValidator(_some_text)]
StateName = Annotated[str, AfterValidator(_state)]
TemplateName = Annotated[str, AfterValidator(_template_name)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_one_or_many), _schema_of_texts(_NAME_SCHEMA)]
SomeNames = Annotated[
    tuple[Name, ...],
    BeforeValidator(_one_or_many),
    AfterValidator(_at_least_one),
    _schema_of_texts(_NAME_SCHEMA, fewest=1),
]
Globs = Annotated[
    tuple[SomeText, ...], BeforeValidator(_one_or_many), _schema_of_texts({"type": "string", "minLength": 1})
]
StateNames = Annotated[
    tuple[StateName, ...], BeforeValidator(_one_or_many), _schema_of_texts({"type": "string", "enum": list(STATES)})
]
Duration = Annotated[
    timedelta,
    PlainValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": duration.PATTERN}),
]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
KeepDuration = Annotated[
    timedelta,
    PlainValidator(_duration_or_none),
    WithJsonSchema({"type": "string", "pattern": f"^0$|{duration.PATTERN}"}),
]
RateLimit = Annotated[Rate, PlainValidator(_rate), WithJsonSchema({"type": "string", "pattern": rate.PATTERN})]
ListenAddress = Annotated[
    Listen, PlainValidator(_listen), WithJsonSchema({"type": "string", "pattern": listen.PATTERN})
]
BodySize = Annotated[Size, PlainValidator(_body_size), WithJsonSchema({"type": "string", "pattern": size.PATTERN})]
UrlReference = Annotated[
    Url, PlainValidator(_url), WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, *_REFERENCES]})
]
SecretReference = Annotated[
    Url, PlainValidator(_secret), WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, *_REFERENCES]})
]


class Table(BaseModel):
    """A table of the configuration: immutable, and with no keys but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class GatewayConfig(Table):
    """``[gateway]``: the gateway itself."""

    name: Name = Field(default="gateway", description="What this gateway is called in what it says about itself.")
    ops: Names = Field(
        default=(), description="Channels told of failed reloads, dead letters and channels that are down."
    )
    overdue: PositiveDuration = Field(
        default=timedelta(hours=1), description="Deliveries that are owed longer than this are told to 'ops'."
    )
    heartbeat: Annotated[UrlReference, AfterValidator(_web_url)] | None = Field(
        default=None, description="URL that is called while the gateway is well, so that an outside watcher knows."
    )
    heartbeat_every: PositiveDuration = Field(
        default=timedelta(minutes=1), description="How often the heartbeat URL is called."
    )


class RetryConfig(Table):
    """``retry``: how often and how long a delivery is tried."""

    attempts: StrictInt = Field(default=8, ge=1, le=1000, description="Attempts in all, the first one included.")
    first: PositiveDuration = Field(default=timedelta(seconds=2), description="Wait before the second attempt.")
    max: PositiveDuration = Field(default=timedelta(minutes=10), description="Longest wait between two attempts.")
    give_up: PositiveDuration = Field(default=timedelta(hours=24), description="No attempt is made later than this.")

    @model_validator(mode="after")
    def _first_is_not_longer_than_max(self) -> RetryConfig:
        if self.first <= self.max:
            return self
        first, longest = duration.format_duration(self.first), duration.format_duration(self.max)
        written = "first" if "first" in self.model_fields_set else "max"
        raise wrong(f"the first wait, {first}, is longer than the longest, {longest}", key=written)


class ChannelConfig(Table):
    """``[channel.NAME]`` with a ``url``: one destination."""

    url: UrlReference = Field(description="Where messages go: one URL with one target, or where it is kept.")
    format: Format | None = Field(
        default=None, description="What messages are rendered as; plain text unless given here or in the URL."
    )
    rate: RateLimit | None = Field(
        default=None, description="Most messages in a stretch of time; the service's own pace."
    )
    timeout: PositiveDuration = Field(default=timedelta(seconds=30), description="Limit for one whole attempt.")
    overflow: Overflow = Field(
        default="split", description="What happens to messages over the service's limit of length."
    )
    retry: RetryConfig = Field(default_factory=RetryConfig, description="How often and how long a delivery is tried.")
    fallback: Name | None = Field(
        default=None, description="The channel a delivery goes to when this one has given up."
    )


class GroupConfig(Table):
    """``[channel.NAME]`` with ``all``: a name for several channels, each of which gets its own delivery."""

    all: SomeNames = Field(description="The channels this name stands for.")


def _kind_of_channel(value: Any) -> str:
    if isinstance(value, GroupConfig) or (isinstance(value, Mapping) and "all" in value):
        return "group"
    return "channel"


AnyChannel = Annotated[
    Annotated[ChannelConfig, Tag("channel")] | Annotated[GroupConfig, Tag("group")], Discriminator(_kind_of_channel)
]


class TagsConfig(Table):
    """``tags``: which tags the task or flow must or must not have. Several conditions all count."""

    any: Globs = Field(default=(), description="At least one of these.")
    all: Globs = Field(default=(), description="Every one of these.")
    none: Globs = Field(default=(), description="Not one of these.")


class HandlerConfig(Table):
    """``[[handler]]``: what to tell, when, and whom."""

    name: Name = Field(description="What this handler is called; no other may be called the same.")
    on: Literal["task", "flow"] | None = Field(
        default=None, description="Only transitions of tasks or of flows; else both."
    )
    when: SomeText | None = Field(default=None, description="Expression that must hold.")
    state: StateNames = Field(default=(), description="The new state is one of these kinds.")
    flow: Globs = Field(default=(), description="The flow's name fits one of these globs.")
    task: Globs = Field(default=(), description="The task's name fits one of these globs.")
    tags: TagsConfig = Field(default_factory=TagsConfig, description="Which tags the task or flow has.")
    to: SomeNames = Field(description="Channels to tell.")
    title: SomeText | None = Field(default=None, description="Template of the title, one line.")
    message: SomeText | None = Field(default=None, description="Template of the message.")
    template: TemplateName | None = Field(default=None, description="Template file with blocks 'title' and 'message'.")
    severity: Severity | None = Field(
        default=None, description="How serious it is; follows from the state unless given."
    )
    stop: StrictBool = Field(default=False, description="Handlers after this one are not asked once it matched.")
    required: StrictBool = Field(
        default=False, description="Deliver inside the transition; a failure raises into the engine."
    )
    mode: Mode = Field(default="live", description="live: send. shadow: record what would have been sent. off: ignore.")

    @model_validator(mode="after")
    def _one_source_of_the_message(self) -> HandlerConfig:
        if self.message is not None and self.template is not None:
            raise wrong("give either 'message' or 'template', not both", key="template")
        return self


class TemplatesConfig(Table):
    """``[templates]``: where template files are."""

    path: Annotated[SomeText, AfterValidator(_folder)] = Field(
        default=DEFAULT_TEMPLATES, description="Folder of template files, beside the configuration."
    )


class StoreConfig(Table):
    """``[store]``: where deliveries are kept until they are done."""

    url: Annotated[UrlReference, AfterValidator(_store_url)] = Field(
        default=parse_url(DEFAULT_STORE),
        description="The database.",
    )
    sync: Sync = Field(
        default="full", description="full: what is accepted is on the disk. normal: faster, less at power loss."
    )
    keep: PositiveDuration = Field(
        default=timedelta(days=30), description="How long deliveries that have ended, and what caused them, are kept."
    )
    keep_unmatched: KeepDuration = Field(
        default=timedelta(hours=24),
        description="How long transitions that no handler matched are kept; '0': they are only counted.",
    )


class ServerConfig(Table):
    """``[server]``: the HTTP server of ``gateway run``."""

    enabled: StrictBool = Field(default=True, description="Whether gateway run serves HTTP.")
    listen: ListenAddress = Field(default=parse_listen(DEFAULT_LISTEN), description="Host and port.")
    token: SecretReference | None = Field(
        default=None, description="What every request must carry as bearer token; needed beyond this machine."
    )
    signature: SecretReference | None = Field(
        default=None, description="Key of the signature by which transitions are taken without the token."
    )
    max_body: BodySize = Field(
        default=Size(4 * 1024 * 1024), description="Largest body of a request, unpacked if it comes packed."
    )

    @model_validator(mode="after")
    def _a_token_beyond_this_machine(self) -> ServerConfig:
        if self.enabled and self.token is None and not self.listen.is_loopback:
            raise wrong(
                f"{self.listen} can be reached from other machines, so a token is needed: "
                'add token = { env = "GATEWAY_TOKEN" }, or listen on 127.0.0.1',
                key="listen",
            )
        return self


class PrefectConfig(Table):
    """``[source.prefect]``: a Prefect 3 server whose state changes ``gateway run`` follows."""

    api: Annotated[UrlReference, AfterValidator(_web_url)] = Field(
        default=parse_url(DEFAULT_PREFECT_API), description="Address of the server's API."
    )
    auth: SecretReference | None = Field(
        default=None, description="User and password of the server, as 'user:password'."
    )
    key: SecretReference | None = Field(default=None, description="API key, for Prefect Cloud.")
    sweep: PositiveDuration = Field(
        default=timedelta(seconds=5), description="How often the server's history is read for what the stream missed."
    )
    overlap: PositiveDuration = Field(
        default=timedelta(minutes=2),
        description="How far back it is read again after a start or a broken connection: events can come late.",
    )
    max_age: PositiveDuration = Field(
        default=timedelta(hours=6), description="What is older is not told after the gateway was away."
    )
    begin: Literal["cursor", "now"] = Field(
        default="cursor", alias="from", description="cursor: go on where it ended. now: leave out what it missed."
    )
    lost_after: KeepDuration = Field(
        default=timedelta(minutes=10),
        description="A flow run without a heartbeat for so long is lost; '0': never.",
    )
    log_lines: StrictInt = Field(
        default=20, ge=0, le=200, description="Lines of a run's log that handlers see if they ask for them."
    )
    ui: Annotated[UrlReference, AfterValidator(_web_url)] | None = Field(
        default=None, description="Address of the server's pages, for links; follows from 'api' unless given."
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> PrefectConfig:
        if self.auth is not None and self.key is not None:
            raise wrong("give either 'auth' (a server) or 'key' (Prefect Cloud), not both", key="key")
        return self


class CloudEventsConfig(Table):
    """``[source.cloudevents.NAME]``: which CloudEvents tell of a change, and of what. Values are expressions."""

    when: SomeText | None = Field(default=None, description="Condition on the events it takes; all unless given.")
    kind: Literal["flow", "task"] = Field(default="flow", description="Whether the runs are of flows or of tasks.")
    name: SomeText = Field(description="Name of the flow or task.")
    run_id: SomeText | None = Field(
        default=None, description="Id of the run, by which the state before is known; needed for that."
    )
    run_name: SomeText | None = Field(default=None, description="The engine's own name of the run.")
    state: SomeText = Field(description="The engine's word for the new state.")
    states: dict[str, StateName] = Field(
        default_factory=dict, description="What words of the engine mean, for those that are not understood anyway."
    )
    old_state: SomeText | None = Field(
        default=None, description="The engine's word for the state before; the last one known of the run unless given."
    )
    message: SomeText | None = Field(default=None, description="Message of the new state.")
    result: SomeText | None = Field(default=None, description="Data that the new state carries.")
    flow: SomeText | None = Field(default=None, description="For tasks: name of the flow.")
    flow_run_id: SomeText | None = Field(default=None, description="For tasks: id of the flow's run.")
    tags: SomeText | None = Field(default=None, description="List of tags.")
    parameters: SomeText | None = Field(default=None, description="What the run was called with.")
    labels: SomeText | None = Field(default=None, description="Labels with a value.")
    url: SomeText | None = Field(default=None, description="Where a person can look at the run.")
    run_count: SomeText | None = Field(default=None, description="Attempts so far.")
    max_retries: SomeText | None = Field(default=None, description="How many retries are allowed.")
    map_index: SomeText | None = Field(default=None, description="Which of the mapped children it is.")
    started_at: SomeText | None = Field(default=None, description="When the run began to work.")
    start_time: SomeText | None = Field(default=None, description="When the run is due.")
    occurred_at: SomeText | None = Field(
        default=None, description="When the change happened; the event's time unless given, else that of its arrival."
    )

    @model_validator(mode="after")
    def _a_flow_of_tasks_only(self) -> CloudEventsConfig:
        for key in ("flow", "flow_run_id", "map_index"):
            if self.kind == "flow" and getattr(self, key) is not None:
                raise wrong("goes with kind = 'task' only: a flow is its own", key=key)
        return self


class SourcesConfig(Table):
    """``[source.…]``: where transitions come from, beside what is sent to the gateway."""

    prefect: PrefectConfig | None = Field(default=None, description="A Prefect 3 server to follow.")
    cloudevents: dict[Name, CloudEventsConfig] = Field(
        default_factory=dict, description="What CloudEvents that are sent mean; the first that takes one decides."
    )


class ReloadConfig(Table):
    """``[reload]``: how edits take effect."""

    debounce: Duration = Field(
        default=timedelta(milliseconds=200), description="Quiet time after an edit before it is read."
    )


class Config(Table):
    """A whole configuration, all files together."""

    gateway: GatewayConfig = Field(default_factory=GatewayConfig, description="The gateway itself.")
    channels: dict[Name, AnyChannel] = Field(
        default={}, alias="channel", description="Channels by name: where messages go."
    )
    handlers: tuple[HandlerConfig, ...] = Field(
        default=(), alias="handler", description="Handlers in order: what to tell."
    )
    templates: TemplatesConfig = Field(default_factory=TemplatesConfig, description="Where template files are.")
    store: StoreConfig = Field(default_factory=StoreConfig, description="Where deliveries are kept.")
    server: ServerConfig = Field(default_factory=ServerConfig, description="The HTTP server of gateway run.")
    source: SourcesConfig = Field(default_factory=SourcesConfig, description="Where transitions come from.")
    reload: ReloadConfig = Field(default_factory=ReloadConfig, description="How edits take effect.")
