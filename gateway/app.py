"""Gateway: opens the parts, handles transitions, reloads, closes. It is itself a state handler."""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gateway.channels.base import Outcome
from gateway.compile import Compiled, Handler, Ruleset, compile_notifier
from gateway.config.loader import Loaded
from gateway.config.models import RetryConfig
from gateway.config.secrets import resolve_url
from gateway.config.source import Problem
from gateway.config.sources import Sources
from gateway.delivery.backlog import Backlog
from gateway.delivery.clock import StoreClock
from gateway.delivery.dispatcher import Dispatcher
from gateway.delivery.lane import ChannelRuntime, LaneReport
from gateway.delivery.notice import Notice
from gateway.delivery.notification import Notification
from gateway.delivery.observers import Faulty, Kept, Misunderstood, Observers
from gateway.delivery.outbox import NOTHING, Outbox
from gateway.delivery.sweeper import Sweeper
from gateway.errors import (
    ConfigError,
    DeliveryError,
    GatewayError,
    RenderError,
    SecretError,
    StoreClosedError,
    StoreError,
)
from gateway.format import Format, Severity
from gateway.handlers import CallbackHandler, TransitionCallback, callback_factory
from gateway.heartbeat import Heartbeat
from gateway.inprocess import observe
from gateway.ops import Ops
from gateway.reload import Builder, Reloaded, Watcher, describe, watched_paths
from gateway.rounds import Rounds
from gateway.rules.template import Rendered, fallback
from gateway.sources.prefect.follower import Follower
from gateway.sources.prefect.report import Report
from gateway.spelling import no_such
from gateway.store.opening import open_store, opener
from gateway.store.retention import Retention
from gateway.store.rows import Accepted, Delivery, NewRefused
from gateway.store.store import Store
from gateway.transition import Transition, text_of

if TYPE_CHECKING:
    from gateway.channels.transport import Transport

log = logging.getLogger("gateway")

DEFAULT_RETRY = RetryConfig()
PATIENCE_SECONDS = 2.0
"""How long a flow waits, at most, for the commit of what it is told of: a disk or a lock can take its time."""

LONGEST_SILENCE = 30.0
"""Seconds without a heartbeat in the store after which something is wrong with it: there is one every few seconds."""

DRAIN_SECONDS = 10.0
"""How long the end of a process waits, at most, for what is due to be sent."""

WORKER_SECONDS = 2.0
"""The same of a process that multiprocessing made: its maker waits for it, and the maker's gateway sends the rest."""

REMEMBERED = timedelta(hours=1)
"""How long, at least, a transition is kept that its source may tell once more."""

MOST_LOGGED = 10
"""Of so many events that came together and were not understood, each has a line in the log."""

FINISHING_SHARE = 0.25
"""The share of that time, at its end, in which no attempt is begun: those in progress can end and be written down."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of one transition.

    Attributes:
        handlers: the names of those that matched, in order.
        accepted: what the store took.
        errors: the names of handlers whose check raised, with the error; they count as not matching.
    """

    handlers: tuple[str, ...]
    accepted: Accepted
    errors: tuple[tuple[str, str], ...] = ()


UNMATCHED = Handled((), Accepted(duplicate=False))
"""What becomes of most transitions: nobody is to be told."""


class Gateway:
    """A running gateway on a configuration: attach it to tasks and flows as a state handler.

    Args:
        config: a folder of TOML files, or one file; or texts read before.
        watch: put edits of the configuration into force while running.
        drain_seconds: how long :meth:`close` and the end of the process wait for messages that are
            due. What is not sent by then stays owed, and goes out when a gateway is next opened.
        on_reload: called with the record of every reload, refused ones too.
        transport: where the channels' connections come from; one made with ``routes`` lets the real
            plugin of a service talk to a server of one's own. The process's own unless given.

    Attributes:
        observers: those who are told what happens: see :mod:`gateway.delivery.observers`.

    Raises:
        ConfigError: the configuration has problems; it lists all of them.
        StoreError: the store cannot be opened.

    Used as a state handler it returns the proposed state, delays the flow by one commit to the
    store at most, and never raises, except for handlers declared ``required``. It pickles as the
    texts it was made from: secrets never travel, the other process must have its own.
    """

    def __init__(
        self,
        config: str | Path | Sources,
        *,
        watch: bool = True,
        drain_seconds: float = DRAIN_SECONDS,
        on_reload: Callable[[Reloaded], object] | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.drain_seconds = drain_seconds
        self._reloading = threading.Lock()
        self._closed = False
        self._builder = Builder(config.root if isinstance(config, Sources) else config, transport=transport)
        self._ruleset = _accepted(
            self._builder.build_from(config) if isinstance(config, Sources) else self._builder.build()
        )
        for problem in self._ruleset.problems:
            log.warning("%s", problem)
        self._store = open_declared_store(self._ruleset.loaded)
        clock = StoreClock(self._store)
        self._store.announce(self._ruleset.hash)
        self.observers = Observers()
        if on_reload is not None:
            self.observers.add(lambda record: on_reload(record) if isinstance(record, Reloaded) else None)
        self._ops = Ops(lambda: self._ruleset, self._send, clock, lambda: self._store.id, self.observers)
        self._dispatcher = Dispatcher(
            self._store, _runtimes(self._ruleset), clock, notify=self._ops.notify, observers=self.observers
        )
        self._outbox = Outbox(self._store, clock, has_room=self._dispatcher.has_room)
        self._backlog = Backlog()
        self._sweeper = Sweeper(self._store, lambda: retention_of(self._ruleset), clock)
        self._heartbeat = Heartbeat(lambda: self._ruleset.pulse, self.is_well, self.observers, transport)
        self._rounds = Rounds(lambda: self._ruleset, self._store, self._ops.notify, clock)
        self._follower = Follower(self, self._ops.notify)
        self._follows = False
        self._dispatcher.start()
        self._sweeper.start()
        self._heartbeat.follow()
        self._rounds.follow()
        self._watcher = Watcher(
            lambda: watched_paths(self._ruleset), self._reload_if_edited, self._ruleset.config.reload.debounce
        )
        if watch:
            self._watcher.start()
        self._end_with_the_process()

    @property
    def ruleset(self) -> Ruleset:
        """The compiled configuration in force."""
        return self._ruleset

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    @property
    def store(self) -> Store:
        """Where transitions and deliveries are kept, to ask it questions."""
        return self._store

    @property
    def backlog(self) -> int:
        """How many pieces of work the store has refused and are kept in memory."""
        return len(self._backlog)

    def reports(self) -> Mapping[str, LaneReport]:
        """How each channel stands in this process."""
        return self._dispatcher.reports()

    def is_well(self) -> bool:
        """Whether what is due is looked for, and the store took something of ours lately."""
        try:
            return self._dispatcher.is_alive() and self._store.seconds_since_beat() < LONGEST_SILENCE
        except StoreError:  # it is closed, or cannot be opened in this process
            return False

    # sources

    def follow(self) -> None:
        """Begin to follow the sources that the configuration declares, and go on as it is edited.

        For a service: inside a flow's process nobody wants a second follower.
        """
        self._follows = True
        self._follower.follow()

    def following(self) -> Report | None:
        """How following the declared Prefect server goes; ``None`` if none is followed."""
        return self._follower.report()

    # transitions

    def __call__(self, obj: Any, old_state: Any, new_state: Any) -> Any:
        """Tell whoever is to be told of this change; always return ``new_state``.

        Raises:
            DeliveryError: a handler declared ``required`` matched and could not deliver.
        """
        with _NeverRaising(obj):
            transition = observe(obj, old_state, new_state)
            self._patiently(lambda: self.handle(transition))
        return new_state

    def tell(self, transition: Transition, handler: Handler) -> None:
        """Emit what one handler has to say, whether it matches or not.

        Raises:
            DeliveryError: the handler is ``required`` and could not deliver.
        """
        with _NeverRaising(transition.obj):
            self._patiently(lambda: self.emit(transition, [handler]))

    def _patiently(self, work: Callable[[], object]) -> None:
        """Do ``work``; later, if the store refuses it now."""
        try:
            work()
        except StoreClosedError:
            log.error("a notification was lost: the gateway is closed")
        except StoreError as error:
            log.error("the store refused a notification, which is kept in memory", extra={"error": str(error)})
            self._backlog.add(work)

    def handle(self, transition: Transition) -> Handled:
        """Find the handlers that match, and keep what they have to say until it is delivered.

        Raises:
            DeliveryError: a handler declared ``required`` matched and could not deliver.
            StoreError: the notifications could not be kept; nobody will be told.
        """
        errors: list[tuple[Handler, Exception]] = []
        matched = self._ruleset.match(transition, errors)
        for handler, error in errors:
            self.note_raised(handler.name, error)
        if not matched:
            self._count_unmatched(transition)
            if not errors:
                return UNMATCHED
        accepted = self.emit(transition, matched)
        return Handled(
            tuple(handler.name for handler in matched),
            accepted,
            tuple((handler.name, _said(error)) for handler, error in errors),
        )

    def _count_unmatched(self, transition: Transition) -> None:
        """Count a transition that nobody is told of. To keep it would cost the flow more than all the rest."""
        self._store.count_unmatched()
        if self.observers:
            self.observers.tell(Kept((transition,), (NOTHING,)))

    def _submit(self, transition: Transition, notifications: Sequence[Notification]) -> Future[Accepted]:
        answer = self._outbox.submit(transition, notifications)
        if self.observers:
            answer.add_done_callback(lambda done: self._tell_kept((transition,), done))
        return answer

    def _tell_kept(self, transitions: Sequence[Transition], done: Future[Any]) -> None:
        if _went_well(done):
            accepted = done.result()
            self.observers.tell(Kept(transitions, accepted if isinstance(accepted, tuple) else (accepted,)))

    def note_raised(self, handler: str, error: Exception) -> None:
        """Tell of a check that raised, and counts as not matching."""
        log.warning("a check raised and does not match", extra={"handler": handler, "error": _said(error)})
        self.observers.tell(Faulty(handler, "check"))

    @property
    def _keeps_unmatched(self) -> bool:
        return bool(self._ruleset.config.store.keep_unmatched)

    def take(
        self, transitions: Sequence[Transition], *, kept: bool = False, with_runs: bool = False
    ) -> Future[tuple[Accepted, ...]]:
        """Keep transitions that came from outside, with what the matching handlers say of them. Does not wait.

        Args:
            transitions: what came.
            kept: keep those that match nobody whatever ``[store] keep_unmatched`` says, for a while: the source
                may tell the same once more, and a repeat is known by its id alone.
            with_runs: keep the state each run is in now, for :meth:`gateway.store.store.Store.runs`.

        The future is done when all of it is on the disk, in one transaction, with one answer for each, in
        order; it fails with ``StoreError`` if nothing of it was kept. Nobody stands inside such a
        transition, so what a ``required`` handler says is delivered like everything else.
        """
        told = map(self._told, transitions)
        answer = self._outbox.submit_all(told, kept=kept or self._keeps_unmatched, with_runs=with_runs)
        answer.add_done_callback(self._send_kept)
        if self.observers:
            answer.add_done_callback(lambda done: self._tell_kept(transitions, done))
        return answer

    def refuse(self, events: Sequence[NewRefused]) -> Future[None]:
        """Keep events of a source that nobody understood, for somebody to look at. Does not wait."""
        for event in events[:MOST_LOGGED]:
            log.warning("an event was not understood", extra={"source": event.source, "error": event.complaint})
        if len(events) > MOST_LOGGED:
            log.warning("more events were not understood", extra={"events": len(events) - MOST_LOGGED})
        for event in events:
            self.observers.tell(Misunderstood(event.source))
        return self._store.refuse(events)

    def _told(self, transition: Transition) -> tuple[Transition, list[Notification]]:
        """``transition`` and what is to be told of it."""
        errors: list[tuple[Handler, Exception]] = []
        matched = self._ruleset.match(transition, errors)
        for handler, error in errors:
            self.note_raised(handler.name, error)
        notifications = (one for handler in matched for one in self._render(handler, transition))
        return transition, [replace(one, required=False) if one.required else one for one in notifications]

    def _send_kept(self, kept: Future[tuple[Accepted, ...]]) -> None:
        if _went_well(kept):
            self._dispatcher.hand_over(one for accepted in kept.result() for one in accepted.claimed)

    def emit(self, transition: Transition, handlers: Sequence[Handler]) -> Accepted:
        """Render what ``handlers`` have to say of ``transition``, keep it, and hand it on to be sent.

        Raises:
            DeliveryError: one of them is ``required`` and could not deliver.
            StoreError: it could not be kept; nobody will be told.
        """
        notifications = [one for handler in handlers for one in self._render(handler, transition)]
        if not notifications:
            return NOTHING
        try:
            accepted = self._keep(transition, handlers, notifications)
        except StoreError as error:
            if not any(notification.required for notification in notifications):
                raise
            if others := [handler for handler in handlers if not handler.written.required]:
                self._backlog.add(lambda: self.emit(transition, others))
            raise DeliveryError(f"the store refused a required notification: {error}") from error
        self._dispatcher.hand_over(accepted.claimed)
        failed = [
            (delivery, outcome)
            for delivery in accepted.required
            if (outcome := self._dispatcher.deliver_now(delivery)).kind != "delivered"
        ]
        if failed:
            raise DeliveryError("; ".join(_failure(delivery, outcome) for delivery, outcome in failed))
        return accepted

    def _keep(
        self, transition: Transition, handlers: Sequence[Handler], notifications: Sequence[Notification]
    ) -> Accepted:
        """Have the store keep ``notifications``; a store that is slow to, keeps them later and holds up no flow."""
        answer = self._submit(transition, notifications)
        try:
            return answer.result(None if any(one.required for one in notifications) else PATIENCE_SECONDS)
        except TimeoutError:
            log.warning("the store is slow, and the flow goes on", extra={"transition": transition.id})
            answer.add_done_callback(lambda late: self._kept_late(late, transition, handlers))
            return NOTHING

    def _kept_late(self, answer: Future[Accepted], transition: Transition, handlers: Sequence[Handler]) -> None:
        if answer.exception() is None:
            self._dispatcher.hand_over(answer.result().claimed)
        else:
            self._backlog.add(lambda: self.emit(transition, handlers))

    def _send(self, transition: Transition, notifications: Sequence[Notification]) -> Future[tuple[Accepted, ...]]:
        kept = self._outbox.submit_all([(transition, notifications)])
        kept.add_done_callback(self._send_kept)
        return kept

    def _render(self, handler: Handler, transition: Transition) -> Iterator[Notification]:
        """One notification for each channel; the text is rendered once for each format."""
        rendered: dict[Format, Rendered] = {}
        for name in handler.channels:
            destination = self._ruleset.destinations.get(name)
            format = self._ruleset.format_of(name)
            if format not in rendered:
                rendered[format] = self._rendered(handler, transition, format)
            text = rendered[format]
            yield Notification(
                handler=handler.name,
                channel=name,
                title=text.title,
                body=text.message,
                format=text.format,
                severity=handler.severity(transition),
                mode="shadow" if handler.written.mode == "shadow" else "live",
                required=handler.written.required,
                give_up=destination.written.retry.give_up if destination else DEFAULT_RETRY.give_up,
            )

    def _rendered(self, handler: Handler, transition: Transition, format: Format) -> Rendered:
        """The message; a plain one that says what went wrong if the template fails. A message is never lost."""
        try:
            return handler.render(transition, format)
        except RenderError as error:
            log.warning("a template failed", extra={"handler": handler.name, "error": str(error)})
            self.observers.tell(Faulty(handler.name, "template"))
            return fallback(transition, handler.name, error)

    # parts that users attach

    def handler(self, name: str) -> CallbackHandler:
        """One declared handler as a state handler of its own. It follows reloads.

        Raises:
            GatewayError: there is no handler of that name.
        """
        names = [handler.name for handler in self._ruleset.config.handlers]
        if name not in names:
            raise GatewayError(no_such("handler", name, names))
        return callback_factory(Teller(self, name), Holder(self, name))

    def notifier(
        self,
        channel: str,
        *,
        message: str | None = None,
        title: str | None = None,
        template: str | None = None,
        severity: Severity | None = None,
    ) -> TransitionCallback:
        """A callback for ``callback_factory`` that sends one message.

        Args:
            channel: a channel or group of the configuration.
            message: a Jinja2 template; a sensible summary unless given.
            title: a Jinja2 template of one line.
            template: a template file of the configuration, instead of ``message``.
            severity: how serious it is; follows from the state unless given.

        Raises:
            ConfigError: there is no such channel or template file, or a template is wrong.
        """
        written = {"message": message, "title": title, "template": template, "severity": severity}
        return Notifier(self, channel, {key: value for key, value in written.items() if value is not None})

    # reload

    def reload(self) -> Reloaded:
        """Read the configuration now and put it into force if it is good; else the last good one stays."""
        with self._reloading:
            started = time.monotonic()
            return self._adopt(self._builder.build(self._ruleset), started)

    def _reload_if_edited(self) -> None:
        with self._reloading:
            started = time.monotonic()
            compiled = self._builder.build_if_edited(self._ruleset)
            if compiled is not None:
                self._adopt(compiled, started)

    def _adopt(self, compiled: Compiled, started: float) -> Reloaded:
        changes: tuple[str, ...] = ()
        if compiled.ruleset is not None:
            changes = describe(self._ruleset, compiled.ruleset)
            self._ruleset = compiled.ruleset
            self._dispatcher.swap(_runtimes(compiled.ruleset))
            self._announce()
        reloaded = Reloaded(compiled.ruleset is not None, changes, compiled.problems, time.monotonic() - started)
        log.log(logging.INFO if reloaded.accepted else logging.ERROR, "%s", reloaded)
        if not reloaded.accepted:
            self._ops.notify(Notice("reload_refused", "configuration", str(reloaded)))
        self.observers.tell(reloaded)
        return reloaded

    def _announce(self) -> None:
        """Have what follows the configuration follow it."""
        self._heartbeat.follow()
        self._rounds.follow()
        if self._follows:
            self._follower.follow()
        with suppress(StoreError):
            self._store.announce(self._ruleset.hash)

    # the end

    def drain(self, timeout: float | None = None) -> int:
        """Wait until what is due has been sent, ``timeout`` seconds at most (``drain_seconds`` unless given).

        Returns how many deliveries are still owed: those that wait for a later attempt too.
        """
        return self._dispatcher.drain(self.drain_seconds if timeout is None else timeout)

    def close(self) -> int | None:
        """Send what is due, then stop, within ``drain_seconds``. What is unsent stays owed. Safe to call twice.

        Returns how many deliveries stay owed; ``None`` if the store does not say, or was closed before.
        """
        if self._closed:
            return None
        return self._close_within(self.drain_seconds)

    def _end_with_the_process(self) -> None:
        """Close when this process ends. Those that multiprocessing makes end in a way of their own."""
        pool, process = sys.modules.get("multiprocessing.util"), sys.modules.get("multiprocessing.process")
        if pool is not None and process is not None and process.parent_process() is not None:
            pool.Finalize(None, self._end_of_worker, exitpriority=0)
        else:
            atexit.register(self.close)

    def _end_of_worker(self) -> None:
        if not self._closed:
            self._close_within(min(self.drain_seconds, WORKER_SECONDS))

    def _close_within(self, seconds: float) -> int | None:
        self._closed = True
        deadline = time.monotonic() + seconds
        atexit.unregister(self.close)
        self._watcher.close()
        self._follower.close()
        self._sweeper.close()
        self._heartbeat.close()
        self._rounds.close()
        self._backlog.close()
        self._drain_to_close(deadline - time.monotonic())
        self._dispatcher.close(max(0.0, deadline - time.monotonic()))
        owed = self._owed()
        self._store.close()
        return owed

    def _drain_to_close(self, left: float) -> None:
        """Send what is due, but for the last part of the time that is left: a store that is away ends it early."""
        try:
            self.drain(max(0.0, left * (1 - FINISHING_SHARE)))
        except StoreError as error:
            log.warning("what is due could not be asked for at the end", extra={"error": str(error)})

    def _owed(self) -> int | None:
        try:
            return self._store.owed()
        except StoreError:
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        sources = self._ruleset.loaded.sources
        return revived, (replace(sources, root=str(Path(sources.root).absolute())),)


class Holder:
    """The check of a declared handler, looked up by name at each transition so that it follows reloads."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self.gateway, self.name = gateway, name

    def holds(self, transition: Transition) -> bool:
        """Whether the handler matches; ``False`` when it is off, gone, or its check raises."""
        handler = self.gateway.ruleset.handler(self.name)
        if handler is None:
            return False
        try:
            return handler.check.holds(transition)
        except Exception as error:
            self.gateway.note_raised(self.name, error)
            return False


class Teller:
    """The callback of a declared handler, looked up by name at each transition so that it follows reloads."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self.gateway, self.name = gateway, name

    def tell(self, transition: Transition) -> None:
        """Emit the handler's notifications; raises ``DeliveryError`` only if it is ``required``."""
        handler = self.gateway.ruleset.handler(self.name)
        if handler is not None:
            self.gateway.tell(transition, handler)


class Notifier:
    """A callback with a message of its own, for ``callback_factory``. Pickles as its texts."""

    def __init__(self, gateway: Gateway, channel: str, written: Mapping[str, str]) -> None:
        self.gateway, self.channel, self.written = gateway, channel, written
        self._handler = compile_notifier(gateway.ruleset, channel, written)

    def tell(self, transition: Transition) -> None:
        """Send the message. Never raises."""
        self.gateway.tell(transition, self._handler)

    def __reduce__(self) -> tuple[Any, ...]:
        return Notifier, (self.gateway, self.channel, self.written)


_revived: dict[str, Gateway] = {}
_reviving = threading.Lock()


def revived(sources: Sources) -> Gateway:
    """The gateway on ``sources`` in this process: opened when the first pickle of it arrives."""
    with _reviving:
        gateway = _revived.get(sources.fingerprint)
        if gateway is None or gateway.closed:
            gateway = _revived[sources.fingerprint] = Gateway(sources, watch=False)
        return gateway


class _NeverRaising:
    """Nothing we do fails a user's flow, unless a handler is ``required``.

    A class, because every transition pays for it: a generator takes three times as long.
    """

    __slots__ = ("_obj",)

    def __init__(self, obj: Any) -> None:
        self._obj = obj

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None or isinstance(error, DeliveryError) or not isinstance(error, Exception):
            return False
        log.exception("a transition could not be handled", extra={"obj": _name_of(self._obj)})
        return True


def _name_of(obj: Any) -> str:
    try:
        return text_of(obj.name)
    except Exception:  # where one thing went wrong with an object, the next may
        return type(obj).__name__


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {text_of(error)}"


def open_declared_store(loaded: Loaded) -> Store:
    """Open the store that a configuration declares; a relative path starts where its other paths do.

    Raises:
        ConfigError: its address is a secret that cannot be resolved.
        StoreError: it cannot be opened.
    """
    return open_store(declared_address(loaded), sync=loaded.sound.store.sync, base=loaded.sources.base)


def declared_address(loaded: Loaded) -> str:
    """The address of the store that a configuration declares.

    Raises:
        ConfigError: it is a secret that cannot be resolved.
    """
    try:
        return resolve_url(loaded.sound.store.url, loaded.sources.base)
    except SecretError as error:
        raise ConfigError([loaded.problem("error", ("store", "url"), str(error))]) from error


def store_problems(loaded: Loaded) -> list[Problem]:
    """What keeps the store from being opened, as far as can be said without looking for it."""
    try:
        opener(declared_address(loaded), base=loaded.sources.base)
    except ConfigError as error:
        return list(error.problems)
    except StoreError as error:
        return [loaded.problem("error", ("store", "url"), str(error))]
    return []


def _accepted(compiled: Compiled) -> Ruleset:
    if compiled.ruleset is None:
        raise ConfigError([problem for problem in compiled.problems if problem.severity == "error"])
    return compiled.ruleset


def _runtimes(ruleset: Ruleset) -> dict[str, ChannelRuntime]:
    """The channels as the dispatcher wants them."""
    return {
        name: ChannelRuntime(
            built.channel,
            built.written.timeout.total_seconds(),
            built.rate,
            built.written.retry,
            built.written.fallback,
        )
        for name, built in ruleset.destinations.items()
    }


def _went_well(done: Future[Any]) -> bool:
    """Whether there is a result; a source that is followed no more takes back what the store has not begun with."""
    return not done.cancelled() and done.exception() is None


def retention_of(ruleset: Ruleset) -> Retention:
    """How long rows are kept; those that a source may tell again, until it can tell nothing twice."""
    written, prefect = ruleset.config.store, ruleset.config.source.prefect
    again = timedelta() if prefect is None else max(REMEMBERED, prefect.max_age + 2 * prefect.overlap)
    return Retention(max(written.keep, again), max(written.keep_unmatched or REMEMBERED, again))


def _failure(delivery: Delivery, outcome: Outcome) -> str:
    return f"handler {delivery.handler!r} could not deliver to {delivery.channel!r}: {outcome.reason} {outcome.detail}"
