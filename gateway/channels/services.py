"""Services: which plugin of apprise serves a URL's scheme, which are refused, and what is known of each.

apprise finds a plugin by importing all 183 of them (150 ms, 10-20 MB). The ones listed in
``FAMILIAR`` are imported alone; any other scheme still gets the full scan.
"""

# mypy: disable-error-code="no-untyped-call"
# apprise annotates only a part of its functions.

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from apprise.asset import AppriseAsset
from apprise.manager_plugins import NotificationManager
from apprise.plugins.base import NotifyBase

from gateway.channels.overlay import cover
from gateway.spelling import nearest

Plugin = Any
"""A plugin class of apprise, a subclass of ``NotifyBase``."""

FAMILIAR: Mapping[str, str] = {
    **dict.fromkeys(("json", "jsons"), "custom_json"),
    **dict.fromkeys(("xml", "xmls"), "custom_xml"),
    **dict.fromkeys(("form", "forms"), "custom_form"),
    **dict.fromkeys(("mailto", "mailtos"), "email"),
    **dict.fromkeys(("workflow", "workflows"), "workflows"),
    **dict.fromkeys(("mmost", "mmosts"), "mattermost"),
    **dict.fromkeys(("rocket", "rockets"), "rocketchat"),
    **dict.fromkeys(("ntfy", "ntfys"), "ntfy"),
    **dict.fromkeys(("gotify", "gotifys"), "gotify"),
    **dict.fromkeys(("mqtt", "mqtts"), "mqtt"),
    **dict.fromkeys(("signal", "signals"), "signal_api"),
    **dict.fromkeys(("matrix", "matrixs"), "matrix"),
    **dict.fromkeys(("webex", "wxteams"), "webexteams"),
    "slack": "slack",
    "discord": "discord",
    "tgram": "telegram",
    "gchat": "google_chat",
    "pover": "pushover",
    "pagerduty": "pagerduty",
    "opsgenie": "opsgenie",
    "zulip": "zulip",
    "twilio": "twilio",
    "sendgrid": "sendgrid",
}
"""The module of ``apprise.plugins`` that serves each of the usual schemes."""

NATIVE_HOSTS: Mapping[str, str] = {
    "hooks.slack.com": "slack",
    "discord.com": "discord",
    "discordapp.com": "discord",
    "chat.googleapis.com": "gchat",
}
"""Services whose own ``https://`` webhook addresses are recognised without the full scan."""

_DESKTOP = "shows messages on this machine's desktop, where nobody may be looking"
DENIED: Mapping[str, str] = {
    **dict.fromkeys(("dbus", "glib", "gio", "gnome", "kde", "qt", "macosx", "windows", "growl"), _DESKTOP),
    "blink1": "drives a lamp on this machine",
    "syslog": "writes to this machine's log; log from your own code instead",
    **dict.fromkeys(("apprise", "apprises"), "hands messages to another dispatcher, whose outcome is not known here"),
}
"""Schemes that are refused, and why."""

WEBHOOKS = frozenset(scheme for scheme, module in FAMILIAR.items() if module.startswith("custom_"))
"""Schemes whose receiver is the user's own: only these are sent an idempotency key."""


def service(scheme: str) -> Plugin | None:
    """The plugin that serves ``scheme``, ready for use; ``None`` when there is none."""
    module = FAMILIAR.get(scheme)
    with _importing():
        return _from_module(f"apprise.plugins.{module}", scheme) if module else _from_scan(scheme)


@contextmanager
def _importing() -> Iterator[None]:
    """Around whatever may import plugins: their import-time deprecation warnings are nobody's business here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
    cover()


def _from_module(name: str, scheme: str) -> Plugin:
    module = importlib.import_module(name)
    candidates = (value for value in vars(module).values() if isinstance(value, type) and issubclass(value, NotifyBase))
    return next(plugin for plugin in candidates if scheme in _schemes(plugin))


def _schemes(plugin: Plugin) -> set[str]:
    schemes: set[str] = plugin.schemas(plugin)
    return schemes


def _from_scan(scheme: str) -> Plugin | None:
    manager = NotificationManager()
    return manager[scheme] if scheme in manager else None  # noqa: SIM401 - it only looks like a dict


def native_service(url: str, host: str) -> Plugin | None:
    """The plugin that knows the web address ``url`` as its own, if there is one."""
    familiar = NATIVE_HOSTS.get(host)
    with _importing():
        plugins: list[Plugin] = [service(familiar)] if familiar else list(NotificationManager().plugins())
    return next((plugin for plugin in plugins if plugin.parse_native_url(url)), None)


def nearest_scheme(scheme: str) -> str | None:
    """The known scheme most like a misspelt one."""
    with _importing():
        schemes = set(NotificationManager().schemas())
    return nearest(scheme, schemes - DENIED.keys() | {"console", "record"})


@functools.cache
def asset() -> AppriseAsset:
    """apprise's settings for a server: nothing read from or kept on disk, no icons from elsewhere, no redirects."""
    return AppriseAsset(
        app_id="gateway",
        app_desc="Notification gateway",
        app_url="",
        storage_mode="memory",
        secure_logging=True,
        http_redirects=False,
        service_timeout=0,
        pem_autogen=False,
        pgp_autogen=False,
        image_url_mask="",
        image_url_logo="",
        allow_templates=False,
    )
