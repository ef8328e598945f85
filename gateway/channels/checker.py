"""Checker: everything that can be wrong with a channel's URL, found before the first message.

No reason given here ever shows the URL or a part of it that may be secret.
"""

# mypy: disable-error-code="no-untyped-call"
# apprise annotates only a part of its functions.

from __future__ import annotations

import functools
import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from apprise.apprise_attachment import AppriseAttachment
from apprise.exception import AppriseImproperlyConfigured
from apprise.plugins import details, requirements
from apprise.plugins.base import NotifyBase

from gateway.channels.attempt import Attempt, attempting
from gateway.channels.redaction import redactor, shortened
from gateway.channels.services import DENIED, Plugin, asset, native_service, nearest_scheme, service
from gateway.channels.transport import Transport
from gateway.errors import ChannelError
from gateway.spelling import nearest

log = logging.getLogger("gateway.channels")

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")

WEB = ("http", "https")

OURS = {
    "retry": "the channel's own key `retry` says how often to try",
    "wait": "the channel's own key `retry` says how long to wait",
    "overflow": "the channel's own key `overflow` says what happens to long messages",
    "optional": "a failure of an optional service would be hidden",
    "tag": "handlers name their channels; tags have no meaning here",
}
"""URL parameters that would take over what the channel's table decides."""

FILES = frozenset({"pgp", "pgppub", "pgpprv", "wkd", "keyfile", "subfile"})
"""URL parameters that make a plugin read files or fetch keys from elsewhere."""

GUESSING = frozenset({"tgram"})
"""Schemes whose plugin, given no target, writes to whoever wrote to it last."""

EVERYWHERE = frozenset({"user", "pass", "password", "host", "port"})
"""URL parameters any plugin takes in place of a part of the URL."""

_WORD = re.compile(r"[a-z][a-z_-]{1,24}")
_PLACE = re.compile(r"\{(\w+)\}")
_PARENTHESES = re.compile(r"\s*\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Checked:
    """A URL that passed: its plugin, ready to send, that plugin's class, and the names of its query parameters."""

    plugin: NotifyBase
    kind: Plugin
    scheme: str
    parameters: frozenset[str]


def checked(url: str, transport: Transport) -> Checked:
    """The plugin instance ``url`` describes. Connects to nothing; ``transport`` is there should a plugin try.

    Raises:
        ChannelError: it cannot be used; every reason found is given.
    """
    url = url.strip()
    scheme = _scheme(url)
    plugin = _plugin(url, scheme)
    _require([*_disabled(plugin, scheme), *_bad_parameters(plugin, url)])
    instance, read = _made(plugin, url, transport)
    _require([*_wrong_targets(instance, plugin, read), *_reads_files(instance)])
    return Checked(instance, plugin, scheme, frozenset(name for name, _ in _query(url)))


def _require(reasons: list[str]) -> None:
    if reasons:
        raise ChannelError(reasons)


def _scheme(url: str) -> str:
    found = SCHEME.match(url)
    if found is None:
        raise ChannelError(["not a URL: it does not begin with a scheme such as slack://, mailto:// or json://"])
    scheme = found[1].lower()
    if scheme in DENIED:
        raise ChannelError([f"{scheme}:// is not allowed: it {DENIED[scheme]}"])
    return scheme


def _plugin(url: str, scheme: str) -> Plugin:
    is_web_address = scheme in WEB
    plugin = native_service(url, _host(url)) if is_web_address else service(scheme)
    if plugin is None and is_web_address:
        raise ChannelError([f"{scheme}:// alone says no service; a webhook of your own is json:// or jsons://"])
    if plugin is None:
        suggestion = nearest_scheme(scheme)
        hint = f"; did you mean {suggestion}://?" if suggestion else ""
        raise ChannelError([f"unknown scheme {shortened(scheme, 30)}://{hint}"])
    return plugin


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _disabled(plugin: Plugin, scheme: str) -> Iterator[str]:
    if not plugin.enabled:
        packages = " and ".join(requirements(plugin)["packages_required"]) or "something this system does not have"
        yield f"{scheme}:// needs {packages}, which is not installed"


def _bad_parameters(plugin: Plugin, url: str) -> Iterator[str]:
    about = details(plugin)
    known = set(about["args"]) | EVERYWHERE
    prefixes = tuple(kwarg["prefix"] for kwarg in about["kwargs"].values() if "prefix" in kwarg)
    for position, (name, _) in enumerate(_query(url), 1):
        if name in OURS:
            yield f"parameter '{name}' is not allowed: {OURS[name]}"
        elif name in FILES:
            yield f"parameter '{name}' is not allowed: it makes the service read files or keys"
        elif name not in known and not (prefixes and name.startswith(prefixes)):
            yield _unknown_parameter(name, position, known)


def _unknown_parameter(name: str, position: int, known: set[str]) -> str:
    """Names the parameter only if it looks like a word: a stray "&" in a password makes a name of its rest."""
    suggestion = nearest(name, known)
    shown = f"'{name}'" if suggestion or _WORD.fullmatch(name) else f"number {position}"
    return f"unknown parameter {shown}" + (f"; did you mean '{suggestion}'?" if suggestion else "")


def _query(url: str) -> Iterator[tuple[str, str]]:
    """The query's names and values. ``parse_qsl`` would read the "+" of a header's prefix as a space."""
    for pair in url.partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        if name:
            yield unquote(name), value


def _made(plugin: Plugin, url: str, transport: Transport) -> tuple[NotifyBase, dict[str, object]]:
    """``plugin`` made of ``url``, and what it read there; its errors and warnings are reasons to refuse."""
    attempt = Attempt(time.monotonic(), transport)
    with attempting(attempt):
        made = _parsed_and_made(plugin, url, attempt)
    redact = redactor(url)
    reasons = [shortened(redact(_PARENTHESES.sub("", text))) for text in dict.fromkeys(attempt.notes) if text]
    if made is None or reasons:
        raise ChannelError(reasons or [_unreadable(plugin, url)])
    return made


def _parsed_and_made(plugin: Plugin, url: str, attempt: Attempt) -> tuple[NotifyBase, dict[str, object]] | None:
    try:
        read = _parsed(plugin, url)
        return (plugin(**read | {"tag": set(), "asset": asset()}), read) if read else None
    except AppriseImproperlyConfigured as error:
        attempt.note(str(error))
    except Exception:  # text that a plugin did not expect may fail anywhere in it
        log.debug("a plugin failed on a channel's URL", extra={"service": plugin.service_name})
    return None


def _parsed(plugin: Plugin, url: str) -> dict[str, object] | None:
    if url.partition("://")[0].lower() in WEB:
        native: dict[str, object] | None = plugin.parse_native_url(url)
        return native
    # apprise reads "/#room" as a room, where a URL parser would see a fragment.
    read: dict[str, object] | None = plugin.parse_url(url.replace("/#", "/%23"))
    return read


def _unreadable(plugin: Plugin, url: str) -> str:
    scheme = url.partition("://")[0]
    forms = " or ".join(str(form).replace("{schema}", scheme) for form in plugin.templates[:3])
    about = f"; see {plugin.setup_url}" if plugin.setup_url else ""
    return f"cannot be read as a URL of {plugin.service_name}; it looks like {forms}{about}"


def _wrong_targets(instance: NotifyBase, plugin: Plugin, read: dict[str, object]) -> Iterator[str]:
    if len(instance) == 0 or _lacks_target(plugin, read):
        yield "names no target: nobody would be told"
    if len(instance) > 1:
        yield f"names {len(instance)} targets: a channel has one, so that it has one outcome; make a channel of each"


def _lacks_target(plugin: Plugin, read: dict[str, object]) -> bool:
    """Whether the URL leaves out a target its plugin cannot do without. Most count that as one target all the same."""
    if "targets" not in read:
        return False
    targets = read["targets"]
    named = any(targets) if isinstance(targets, (list, tuple, set)) else bool(targets)
    return not named and (_wants_target(plugin) or read.get("schema") in GUESSING)


@functools.cache
def _wants_target(plugin: Plugin) -> bool:
    """Whether every form of the plugin's URL has a place for a target."""
    tokens = details(plugin)["tokens"]
    to_targets = {name for name, token in tokens.items() if "targets" in (name, token.get("map_to"))}
    places = to_targets.union(*(tokens[name].get("group", ()) for name in to_targets))
    return bool(places) and all(places & set(_PLACE.findall(form)) for form in plugin.templates)


def _reads_files(plugin: NotifyBase) -> Iterator[str]:
    for name, value in vars(plugin).items():
        if isinstance(value, AppriseAttachment) and len(value):
            yield f"parameter '{name}' is not allowed: it makes the service read a file"
