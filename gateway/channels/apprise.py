"""The channel behind every scheme but ``console`` and ``record``: one apprise plugin, one target.

The plugin is called directly, not through ``Apprise.notify()``: its throttle and its retries are off,
because pace and retries are decided, and survive a restart, elsewhere in the gateway.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from apprise.common import NotifyFormat, NotifyType, OverflowMode
from apprise.conversion import convert_between
from apprise.plugins.base import NotifyBase

from gateway.channels.attempt import Attempt, Fault, attempting
from gateway.channels.base import Message, Outcome, Overflow
from gateway.channels.checker import Checked, checked
from gateway.channels.concurrency import width
from gateway.channels.outcome import classify
from gateway.channels.overlay import AttemptLog
from gateway.channels.progress import Progress
from gateway.channels.redaction import redactor
from gateway.channels.services import WEBHOOKS
from gateway.channels.transport import Transport, shared_transport
from gateway.format import Format, Severity

NOTIFY_TYPES: Mapping[Severity, NotifyType] = {
    "info": NotifyType.INFO,
    "success": NotifyType.SUCCESS,
    "warning": NotifyType.WARNING,
    "failure": NotifyType.FAILURE,
}

MQTT_POLL_SECONDS = 0.005
"""How often an MQTT send looks whether the broker has taken the message. apprise's 0.2 s caps it at 5 a second."""


class AppriseChannel:
    """One destination, reached through one apprise plugin.

    Args:
        name: what the configuration calls it.
        url: an apprise URL with one target.
        format: what its messages are rendered as. Otherwise the URL's ``format``, or else plain text,
            which arrives as written wherever it goes.
        timeout: longest wait for an answer, in seconds, unless the URL says ``rto``.
        overflow: what to do with messages over the service's limit.
        transport: where connections come from; the process's own unless given.

    Attributes:
        width: how many ``send`` may run at once.
        default_rate: seconds between messages that the service asks for; 0 if it asks for none.

    Raises:
        ChannelError: the URL cannot be used.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        format: Format | None = None,
        timeout: float = 30.0,
        overflow: Overflow = "split",
        transport: Transport | None = None,
    ) -> None:
        self._transport = transport or shared_transport()
        found = checked(url, self._transport)
        self.name = name
        self.scheme = found.scheme
        self.format: Format = format or _own_format(found)
        self.width = width(found.kind)
        self.default_rate = max(0.0, float(found.plugin.request_rate_per_sec))
        self._plugin = _governed(found, timeout, overflow)
        self._remake: Callable[[], NotifyBase] = lambda: _governed(checked(url, self._transport), timeout, overflow)
        self._redact = redactor(url)
        self._progress = Progress()

    def __repr__(self) -> str:
        return f"<AppriseChannel {self.name!r}: {self.scheme}>"

    def send(self, message: Message, timeout: float) -> Outcome:
        """Try to deliver once, within ``timeout`` seconds. Never raises: a failure is an outcome.

        Receivers of ``json``, ``xml`` and ``form`` get the message's idempotency key as the header
        ``Idempotency-Key``; public services, which do not ask for it, do not.
        """
        title, body = (message.title, message.body) if message.body.strip() else ("", message.title)
        if not body.strip():
            return Outcome("permanent", "empty")
        key = message.idempotency_key
        attempt = Attempt(time.monotonic() + timeout, self._transport, key if self.scheme in WEBHOOKS else "")
        with attempting(attempt), self._progress.of(key):
            delivered = self._notify(attempt, title, body, message)
        if delivered:
            self._progress.forget(key)
        return classify(delivered, attempt, self._redact, datetime.now(UTC))

    def _notify(self, attempt: Attempt, title: str, body: str, message: Message) -> bool:
        try:
            delivered = self._plugin.notify(
                body=body,
                title=self._fitting(title, message.format),
                notify_type=NOTIFY_TYPES[message.severity],
                body_format=NotifyFormat(message.format),
            )
        except Exception as error:
            attempt.events.append(Fault(error))
            return False
        return bool(delivered)

    def _fitting(self, title: str, format: Format) -> str:
        """The title, which is plain text; written in the body's format where the service has only a body."""
        if self._plugin.title_maxlen > 0 or format == "text":
            return title
        return str(convert_between(NotifyFormat.TEXT, NotifyFormat(format), title))  # type: ignore[no-untyped-call]

    def renew(self) -> None:
        """Go on with another instance of the plugin; few can stand a second send while one hangs."""
        self._plugin = self._remake()

    def close(self) -> None:
        """Let go of the plugin's own connection, if it keeps one (MQTT). Safe to call twice."""
        if self.scheme in ("mqtt", "mqtts"):
            client = vars(self._plugin)["client"]
            client.disconnect()
            client.loop_stop()


def _own_format(found: Checked) -> Format:
    return found.plugin.resolve_format().value if "format" in found.parameters else "text"


def _governed(found: Checked, timeout: float, overflow: Overflow) -> NotifyBase:
    """The plugin with everything switched off that is ours to decide."""
    plugin = found.plugin
    for name, value in _settings(found, timeout, overflow):
        setattr(plugin, name, value)
    return plugin


def _settings(found: Checked, timeout: float, overflow: Overflow) -> Iterator[tuple[str, object]]:
    yield "throttle", _no_throttle
    yield "logger", AttemptLog()
    yield "overflow_mode", OverflowMode(overflow)
    if "rto" not in found.parameters:
        yield "socket_read_timeout", timeout
    if hasattr(found.plugin, "mqtt_block_time_sec"):
        yield "mqtt_block_time_sec", MQTT_POLL_SECONDS


def _no_throttle(last_io: object = None, wait: object = None) -> None:
    """In place of ``plugin.throttle``, which sleeps in the sending thread."""
