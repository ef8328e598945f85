"""From what is written to what runs: the only module that knows every kind.

``compile_ruleset`` turns a loaded configuration into an immutable :class:`Ruleset`, or says
everything that is wrong with it. What did not change since a previous ruleset is used again:
handlers keep their compiled form, channels their sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from gateway import channels
from gateway.channels.base import Channel
from gateway.config.loader import Loaded
from gateway.config.models import (
    ChannelConfig,
    CloudEventsConfig,
    Config,
    GroupConfig,
    HandlerConfig,
    PrefectConfig,
)
from gateway.config.rate import Rate
from gateway.config.secrets import resolve_url
from gateway.config.source import KeyPath, Problem
from gateway.config.url import Url, is_web_address
from gateway.errors import ChannelError, ConfigError, GatewayError, LanguageError, SecretError, TemplateError
from gateway.format import Format, Severity
from gateway.rules.expression import Check, compile_check
from gateway.rules.index import Index
from gateway.rules.mapping import KEYS, CloudEvent, Mapped, compile_mapped, compile_taking
from gateway.rules.readers import Readers
from gateway.rules.sugar import Sugar
from gateway.rules.template import MessageTemplate, Rendered, compile_template
from gateway.spelling import nearest, no_such
from gateway.states import SEVERITIES
from gateway.transition import Transition

if TYPE_CHECKING:
    from gateway.channels.transport import Transport

T = TypeVar("T")

BURST = 10
"""Messages that may go at once where only the service's average pace is known."""


@dataclass(frozen=True, slots=True)
class Handler:
    """One declared handler, compiled.

    Attributes:
        written: what the configuration says.
        check: its ``when`` and its sugar, as one predicate.
        template: its title and message.
        channels: whom it tells, groups opened up, each channel once.
        template_text: the text of its template file, if it has one.
    """

    written: HandlerConfig
    check: Check
    template: MessageTemplate
    channels: tuple[str, ...]
    template_text: str | None = None

    @property
    def name(self) -> str:
        """The name it is declared by."""
        return self.written.name

    def severity(self, transition: Transition) -> Severity:
        """The declared severity, or what follows from the new state."""
        return self.written.severity or SEVERITIES[transition.state.type]

    def render(self, transition: Transition, format: Format) -> Rendered:
        """Title and message for ``transition``, its values escaped for ``format``; raises ``RenderError``."""
        return self.template.render(transition, format)


@dataclass(frozen=True, slots=True)
class Destination:
    """One declared channel, built.

    Attributes:
        written: what the configuration says.
        channel: what sends.
        address: the URL with its secrets filled in; only ever compared.
    """

    written: ChannelConfig
    channel: Channel
    address: str = field(repr=False)

    @property
    def rate(self) -> Rate | None:
        """The declared rate, or the pace the service asks for with a short burst allowed."""
        if self.written.rate is not None or not self.channel.default_rate:
            return self.written.rate
        return Rate(BURST, timedelta(seconds=BURST * self.channel.default_rate))


@dataclass(frozen=True, slots=True)
class EventMapping:
    """One ``[source.cloudevents.NAME]``, compiled.

    Attributes:
        name: what it is declared as.
        written: what the configuration says.
        takes: whether it is for an event; raises what the expression raises.
        values: its expressions, by their keys; those that are not written are not there.
    """

    name: str
    written: CloudEventsConfig
    takes: Callable[[CloudEvent], bool]
    values: Mapping[str, Mapped]


@dataclass(frozen=True, slots=True)
class Pulse:
    """``[gateway] heartbeat``: the address to call, with its secrets filled in, and how often."""

    address: str = field(repr=False)
    every: timedelta


@dataclass(frozen=True, slots=True)
class PrefectServer:
    """``[source.prefect]`` with its secrets filled in.

    Attributes:
        written: what the configuration says.
        api: the address of the API, without user and password, and without a ``/`` at its end.
        ui: the address of the server's pages.
        auth: ``user:password``, of its own or out of the address; or ``""``.
        key: the API key, or ``""``.
    """

    written: PrefectConfig
    api: str = field(repr=False)
    ui: str = field(repr=False)
    auth: str = field(default="", repr=False)
    key: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """The address of the API as it may be shown: without user, password and query."""
        return _shown(self.api)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """A compiled configuration, whole and immutable.

    Attributes:
        loaded: what it was compiled from.
        handlers: every handler that is not off, in order.
        destinations: every channel by name; groups are opened up.
        index: finds the handlers that match, at a cost that does not grow with their number.
        readers: the handlers that read what a source may have to fetch.
        problems: what is worth a warning.
        ops: the channels that hear of the gateway's own troubles, groups opened up.
        pulse: whom to tell that we live; ``None`` if nobody.
        event_mappings: what CloudEvents mean, in the order in which they are asked.
        prefect: the Prefect 3 server to follow; ``None`` if there is none.
    """

    loaded: Loaded
    handlers: tuple[Handler, ...]
    destinations: Mapping[str, Destination]
    index: Index
    readers: Readers
    problems: tuple[Problem, ...]
    ops: tuple[str, ...] = ()
    pulse: Pulse | None = None
    event_mappings: tuple[EventMapping, ...] = ()
    prefect: PrefectServer | None = None

    @property
    def hash(self) -> str:
        """What tells this configuration from others; see :attr:`gateway.config.sources.Sources.hash`."""
        return self.loaded.sources.hash

    @property
    def config(self) -> Config:
        """The configuration as written."""
        return self.loaded.sound

    def handler(self, name: str) -> Handler | None:
        """The handler of that name; ``None`` if there is none or it is off."""
        return next((handler for handler in self.handlers if handler.name == name), None)

    def format_of(self, channel: str) -> Format:
        """What messages to ``channel`` are rendered as; as far as that is declared if channels were not built."""
        if channel in self.destinations:
            return self.destinations[channel].channel.format
        return getattr(self.config.channels.get(channel), "format", None) or "text"

    def match(self, transition: Transition, errors: list[tuple[Handler, Exception]] | None = None) -> list[Handler]:
        """The handlers that fire for ``transition``, in order, up to the first with ``stop``.

        A check that raises does not match; with ``errors`` given it is noted there.
        """
        raised: list[tuple[int, Exception]] = []
        matched = [self.handlers[position] for position in self.index.match(transition, raised)]
        if errors is not None:
            errors += [(self.handlers[position], error) for position, error in raised]
        for count, handler in enumerate(matched, 1):
            if handler.written.stop:
                return matched[:count]
        return matched

    def reads(self, transition: Transition) -> frozenset[str]:
        """What handlers that may match read of ``transition`` and its source did not tell: ``"flow.parameters"`` …

        To be fetched before it is told; see :func:`gateway.sources.enrichment.enriched`. Where no handler reads
        anything of the kind, this costs next to nothing.
        """
        return self.readers.reads(transition)


@dataclass(frozen=True, slots=True)
class Compiled:
    """What came of compiling ``loaded``: the ruleset, ``None`` if any problem is an error; and every problem."""

    loaded: Loaded
    ruleset: Ruleset | None
    problems: tuple[Problem, ...]


def compile_ruleset(
    loaded: Loaded, previous: Ruleset | None = None, *, connect: bool = True, transport: Transport | None = None
) -> Compiled:
    """Compile ``loaded``, using again what did not change since ``previous``.

    Args:
        loaded: a loaded configuration, with or without problems of its own.
        previous: the ruleset it is to replace.
        connect: build the channels. Without, secrets are not needed and nothing can be sent.
        transport: where the channels' connections come from; the process's own unless given.
    """
    work = _Compilation(loaded, previous, transport)
    destinations = work.destinations(loaded.sound.channels) if connect else {}
    handlers = work.handlers()
    ops = work.ops()
    pulse = work.pulse() if connect else None
    event_mappings = work.event_mappings()
    prefect = work.prefect() if connect else None
    work.check_references()
    problems = tuple(sorted({*loaded.problems, *work.problems}, key=_by_place))
    if any(problem.severity == "error" for problem in problems):
        for name, destination in destinations.items():
            if previous is None or previous.destinations.get(name) is not destination:
                destination.channel.close()
        return Compiled(loaded, None, problems)
    live = tuple(handler for handler in handlers if handler.written.mode != "off")
    index = previous.index if previous and _same(previous.handlers, live) else Index([h.check for h in live])
    readers = Readers((handler.check, handler.template.reads) for handler in live)
    built = MappingProxyType(destinations)
    ruleset = Ruleset(loaded, live, built, index, readers, problems, ops, pulse, event_mappings, prefect)
    return Compiled(loaded, ruleset, problems)


_PREFECT = ("source", "prefect")
_CLOUD = "https://api.prefect.cloud/api/accounts/"


def _is_usable(address: str) -> bool:
    """Whether it is a web address with a host, and a port that is one if any."""
    try:
        parts = urlsplit(address)
        is_whole = is_web_address(address) and bool(parts.hostname) and not (parts.query or parts.fragment)
        return is_whole and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is none
        return False


def _shown(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _credentials_in(address: str) -> str:
    """User and password that stand in an address, as ``user:password``; ``""`` if none do."""
    inside, at, _ = urlsplit(address).netloc.rpartition("@")
    return ":".join(map(unquote, inside.partition(":")[::2])) if at else ""


def _pages_of(api: str) -> str:
    """Where Prefect's pages are: beside the API of a server; those of Prefect Cloud on a host of their own."""
    if api.startswith(_CLOUD):
        return api.replace(_CLOUD, "https://app.prefect.cloud/account/", 1).replace("/workspaces/", "/workspace/", 1)
    return api.removesuffix("/api")


def _by_place(problem: Problem) -> tuple[str, int, int, str]:
    return problem.file, problem.line, problem.column, problem.message


def _same(before: tuple[Handler, ...], after: tuple[Handler, ...]) -> bool:
    return len(before) == len(after) and all(old.check is new.check for old, new in zip(before, after, strict=True))


def compile_notifier(ruleset: Ruleset, channel: str, written: Mapping[str, str]) -> Handler:
    """A handler that is not in the configuration: it tells ``channel`` of every transition it is given.

    Args:
        ruleset: knows the channels and the template files.
        channel: a channel or group.
        written: any of the keys ``title``, ``message``, ``template``, ``severity``.

    Raises:
        ConfigError: there is no such channel or template file, or a template is wrong.
    """
    declared = HandlerConfig.model_validate({"name": f"notifier for {channel}", "to": channel, **written})
    work = _Compilation(ruleset.loaded)
    handler = work.handler(declared)
    if handler is None or work.problems:
        raise ConfigError(work.problems)
    return handler


def connect(loaded: Loaded, channel: str) -> dict[str, Destination]:
    """The channels that one name stands for, built alone: the secrets of the others are not needed.

    Raises:
        GatewayError: there is no channel of that name.
        ConfigError: one of the channels cannot be built.
    """
    if channel not in loaded.channel_names:
        raise GatewayError(no_such("channel", channel, loaded.channel_names))
    work = _Compilation(loaded)
    built = work.destinations(dict.fromkeys(work.members(channel)))
    if work.problems:
        raise ConfigError(work.problems)
    return built


class _Compilation:
    """One pass over a configuration; collects problems as it goes."""

    def __init__(self, loaded: Loaded, previous: Ruleset | None = None, transport: Transport | None = None) -> None:
        self.loaded = loaded
        self.transport = transport
        self.config = loaded.sound
        self.problems: list[Problem] = []
        self._previous = previous
        self._channel_names = loaded.channel_names
        self._known = {handler.name: handler for handler in previous.handlers} if previous else {}

    def error(self, path: KeyPath, message: str, hint: str | None = None) -> None:
        self.problems.append(self.loaded.problem("error", path, message, hint))

    # channels

    def destinations(self, names: Iterable[str]) -> dict[str, Destination]:
        """Those of the channels ``names`` that can be built; what keeps the others from it is noted."""
        built = {}
        for name in names:
            written = self.config.channels.get(name)
            if isinstance(written, ChannelConfig) and (destination := self._destination(name, written)):
                built[name] = destination
        return built

    def _destination(self, name: str, written: ChannelConfig) -> Destination | None:
        try:
            address = resolve_url(written.url, self.loaded.sources.base)
        except SecretError as error:
            self.error(("channel", name, "url"), str(error))
            return None
        known = self._previous.destinations.get(name) if self._previous else None
        if known and (known.address, _shape(known.written)) == (address, _shape(written)):
            return known if known.written == written else Destination(written, known.channel, address)
        try:
            channel = channels.build(
                name,
                address,
                format=written.format,
                timeout=written.timeout.total_seconds(),
                overflow=written.overflow,
                transport=self.transport,
            )
        except ChannelError as error:
            self.error(("channel", name, "url"), str(error))
            return None
        return Destination(written, channel, address)

    # handlers

    def handlers(self) -> list[Handler]:
        """Every handler that compiles; what keeps the others from it is noted."""
        return [handler for written in self.config.handlers if (handler := self.handler(written))]

    def handler(self, written: HandlerConfig) -> Handler | None:
        """``written``, compiled; the form it had in the previous ruleset if nothing about it changed."""
        text = self.loaded.sources.templates.get(written.template) if written.template else None
        targets = self._open_up(("handler", written.name, "to"), written.to)
        known = self._known.get(written.name)
        if known and known.written == written and known.template_text == text and known.channels == targets:
            return known
        check = self._check(written)
        template = self._template(written, text)
        if check is None or template is None:
            return None
        return Handler(written, check, template, targets, text)

    def _check(self, written: HandlerConfig) -> Check | None:
        sugar = Sugar(
            state=written.state,
            flow=written.flow,
            task=written.task,
            tags_any=written.tags.any,
            tags_all=written.tags.all,
            tags_none=written.tags.none,
        )
        try:
            return compile_check(written.when, on=written.on, sugar=sugar)
        except LanguageError as error:
            self._wrong_text(("handler", written.name, "when"), error)
            return None

    def _template(self, written: HandlerConfig, text: str | None) -> MessageTemplate | None:
        if written.template and text is None:
            names = self.loaded.sources.templates
            self.error(
                ("handler", written.name, "template"),
                f"there is no template of this name in {self.loaded.sources.template_folder}",
                nearest(written.template, names),
            )
            return None
        try:
            return compile_template(
                title=written.title, message=written.message, file=text, on=written.on, handler=written.name
            )
        except TemplateError as error:
            for one in (error, *error.others):
                self._wrong_template(written, one)
            return None

    def _wrong_text(self, path: KeyPath, error: LanguageError) -> None:
        place = (error.line, error.column)
        self.problems.append(self.loaded.problem("error", path, error.message, error.hint, inside=place))

    def _wrong_template(self, written: HandlerConfig, error: TemplateError) -> None:
        if error.part != "file" or written.template is None:
            self._wrong_text(("handler", written.name, error.part), error)
            return
        self.problems.append(
            self.loaded.template_problem(written.template, error.line, error.column, error.message, error.hint)
        )

    # sources

    def event_mappings(self) -> tuple[EventMapping, ...]:
        """What CloudEvents mean; what is wrong with any is noted."""
        if self.config.source.cloudevents and not self.config.server.enabled:
            message = "no event can come: they are sent to the server, which '[server] enabled' turns off"
            self.problems.append(self.loaded.problem("warning", ("source", "cloudevents"), message))
        return tuple(self._event_mapping(*declared) for declared in self.config.source.cloudevents.items())

    def _event_mapping(self, name: str, written: CloudEventsConfig) -> EventMapping:
        path = ("source", "cloudevents", name)
        texts = {key: text for key in KEYS if (text := getattr(written, key)) is not None}
        values = {
            key: mapped
            for key, text in texts.items()
            if (mapped := self._of_events((*path, key), partial(compile_mapped, text, KEYS[key])))
        }
        takes = self._of_events((*path, "when"), partial(compile_taking, written.when or "true"))
        return EventMapping(name, written, takes or (lambda event: False), MappingProxyType(values))

    def _of_events(self, path: KeyPath, compiled: Callable[[], T]) -> T | None:
        try:
            return compiled()
        except LanguageError as error:
            self._wrong_text(path, error)
            return None

    # references from one table to another

    def _open_up(self, path: KeyPath, names: tuple[str, ...]) -> tuple[str, ...]:
        """The channels ``names`` stand for, each once, groups replaced by their members."""
        found: dict[str, None] = {}
        for position, name in enumerate(names):
            if name in self._channel_names:
                found.update(dict.fromkeys(self.members(name)))
            elif self.loaded.complete:  # else it may stand in the file that could not be parsed
                self.error((*path, position), f"there is no channel {name!r}", nearest(name, self._channel_names))
        return tuple(found)

    def members(self, name: str, above: tuple[str, ...] = ()) -> Iterator[str]:
        """The channels that ``name`` stands for: itself, or those of a group."""
        written = self.config.channels.get(name)
        if not isinstance(written, GroupConfig):
            yield name
        elif name not in above:
            for member in written.all:
                yield from self.members(member, (*above, name))

    def ops(self) -> tuple[str, ...]:
        """The channels that hear of the gateway's own troubles."""
        return self._open_up(("gateway", "ops"), self.config.gateway.ops)

    def pulse(self) -> Pulse | None:
        """Whom to tell that we live."""
        path = ("gateway", "heartbeat")
        written = self.config.gateway
        if written.heartbeat is None:
            return None
        try:
            address = resolve_url(written.heartbeat, self.loaded.sources.base)
        except SecretError as error:
            self.error(path, str(error))
            return None
        if not is_web_address(address):
            self.error(path, "the address must begin with http:// or https://")
            return None
        return Pulse(address, written.heartbeat_every)

    def prefect(self) -> PrefectServer | None:
        """The Prefect 3 server to follow."""
        written = self.config.source.prefect
        if written is None:
            return None
        self._check_extra()
        api, ui = self._address("api", written.api), self._address("ui", written.ui)
        auth, key = self._secret("auth", written.auth), self._secret("key", written.key)
        if auth and ":" not in auth:
            self.error((*_PREFECT, "auth"), "must be user and password as 'user:password'")
        if api is None or ui is None or auth is None or key is None:
            return None
        if (inside := _credentials_in(api)) and (auth or key):
            self.error((*_PREFECT, "api"), "has user and password, and so has 'auth' or 'key': give one of them")
        api = _shown(api)
        return PrefectServer(written, api, _shown(ui) or _pages_of(api), auth or inside, key)

    def _check_extra(self) -> None:
        if missing := [name for name in ("httpx", "websockets") if find_spec(name) is None]:
            install = f"pip install {' '.join(missing)} (the extra 'prefect' has them)"
            self.error(_PREFECT, f"needs packages that are not installed: {install}")

    def _address(self, key: str, written: Url | None) -> str | None:
        """The web address at ``key`` of the source, ``""`` if there is none, ``None`` if it is wrong."""
        address = self._secret(key, written)
        if not address:
            return address
        if _is_usable(address):
            return address.rstrip("/")
        self.error((*_PREFECT, key), "must be an address such as http://prefect.example.org:4200/api")
        return None

    def _secret(self, key: str, written: Url | None) -> str | None:
        """What ``key`` of the source holds, ``""`` if it is not there, ``None`` if it cannot be found out."""
        if written is None:
            return ""
        try:
            return resolve_url(written, self.loaded.sources.base)
        except SecretError as error:
            self.error((*_PREFECT, key), str(error))
            return None

    def check_references(self) -> None:
        """Groups and fallbacks name channels that exist, and nothing goes in circles."""
        for name, written in self.config.channels.items():
            if isinstance(written, GroupConfig):
                self._open_up(("channel", name, "all"), written.all)
                if self._leads_back(name, lambda other: getattr(self.config.channels.get(other), "all", ())):
                    self.error(("channel", name, "all"), "this group contains itself")
            elif written.fallback is not None:
                self._check_fallback(name, written.fallback)
        self._warn_of_unused()

    def _check_fallback(self, name: str, fallback: str) -> None:
        path = ("channel", name, "fallback")
        self._open_up(path, (fallback,))
        if isinstance(self.config.channels.get(fallback), GroupConfig):
            self.error(path, f"{fallback!r} is a group; a fallback is one channel")
        elif self._leads_back(name, self._fallback_of):
            self.error(path, "the fallbacks lead back to this channel")

    def _fallback_of(self, name: str) -> tuple[str, ...]:
        fallback = getattr(self.config.channels.get(name), "fallback", None)
        return (fallback,) if fallback else ()

    @staticmethod
    def _leads_back(start: str, follow: Callable[[str], tuple[str, ...]]) -> bool:
        """Whether ``start`` is reached from itself by following names."""
        seen: set[str] = set()
        ahead = list(follow(start))
        while ahead:
            name = ahead.pop()
            if name == start:
                return True
            if name not in seen:
                seen.add(name)
                ahead += follow(name)
        return False

    def _warn_of_unused(self) -> None:
        """A channel nobody sends to is most likely a mistake; not said while other things are wrong."""
        if self.problems or self.loaded.config is None:
            return
        used = set(self.config.gateway.ops)
        used.update(name for handler in self.config.handlers for name in handler.to)
        ahead = list(used)
        while ahead:
            name = ahead.pop()
            beyond = {*getattr(self.config.channels[name], "all", ()), *self._fallback_of(name)} - used
            used |= beyond
            ahead += beyond
        for name in self.config.channels:
            if name not in used:
                message = "nobody sends to this channel: no handler, group, fallback or 'ops' names it"
                self.problems.append(self.loaded.problem("warning", ("channel", name), message))


def _shape(written: ChannelConfig) -> tuple[object, ...]:
    """What a built channel depends on beside its address; the rest is policy and needs no new connection."""
    return written.format, written.timeout, written.overflow
