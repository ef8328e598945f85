"""Overlay: how apprise, and nothing else in the process, comes to use our transport.

Inside apprise's own modules the names ``requests``, ``smtplib`` and ``ssl`` are rebound to stand-ins.
During an attempt a stand-in offers our functions; at any other time it is the module it stands for.
The real modules are never touched.
"""

from __future__ import annotations

import functools
import logging
import smtplib
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import requests

from gateway.channels.attempt import current, in_progress
from gateway.channels.smtp import PlainSMTP, SecureSMTP, TlsWish

_lock = threading.Lock()

_TELL_PATHS = tuple(f"urllib3.{name}" for name in ("connection", "connectionpool", "poolmanager", "util.retry"))
"""Loggers that write the path of a request, which for many services is the secret."""


class StandIn:
    """Offers ``ours`` while an attempt is in progress, and whatever else ``module`` has."""

    def __init__(self, module: ModuleType, ours: Mapping[str, Any]) -> None:
        self._module, self._ours = module, ours

    def __getattr__(self, name: str) -> Any:
        if name in self._ours and current() is not None:
            return self._ours[name]
        return getattr(self._module, name)


def _request(method: str, url: str, **options: Any) -> requests.Response:
    return in_progress().transport.request(method, url, **options)


def _method(name: str) -> Callable[..., requests.Response]:
    def send(url: str, *arguments: Any, **options: Any) -> requests.Response:
        # The one or two optional positional arguments of requests.get, post … mean different things in each.
        signature = {"get": ("params",), "post": ("data", "json")}.get(name, ("data",))
        return _request(name.upper(), url, **dict(zip(signature, arguments, strict=False)), **options)

    return send


_REQUESTS = StandIn(
    requests,
    {"request": _request} | {name: _method(name) for name in ("get", "post", "put", "patch", "delete")},
)
_SMTP_MODULE = "apprise.plugins.email.smtp"
_SMTPLIB = StandIn(smtplib, {"SMTP": PlainSMTP, "SMTP_SSL": SecureSMTP})
_SSL = StandIn(ssl, {"create_default_context": TlsWish})


def cover() -> None:
    """Lay the stand-ins over every module of apprise imported so far. Cheap; called after each new import."""
    with _lock:
        for name, module in list(sys.modules.items()):
            if name.startswith("apprise.") and getattr(module, "requests", None) is requests:
                vars(module)["requests"] = _REQUESTS
        if _SMTP_MODULE in sys.modules:
            vars(sys.modules[_SMTP_MODULE]).update(smtplib=_SMTPLIB, ssl=_SSL)
        _catch_log()


@functools.cache
def _catch_log() -> None:
    logging.getLogger("apprise").addFilter(_to_attempt)
    for name in _TELL_PATHS:
        logging.getLogger(name).addFilter(_is_of_others)


def _to_attempt(record: logging.LogRecord) -> bool:
    """A filter: what apprise logs during an attempt may hold secrets; it goes nowhere else, and warnings are noted.

    Lesser lines are not: what is found wrong must not depend on the level a host process logs at.
    """
    attempt = current()
    if attempt is None:
        return True
    if record.levelno >= logging.WARNING:
        attempt.note(record.getMessage())
    return False


def _is_of_others(record: logging.LogRecord) -> bool:
    """A filter: leaves out what is logged of our own requests."""
    return current() is None


class AttemptLog:
    """In place of a plugin's logger: notes warnings, and of the lesser lines those that name an exception.

    Not a ``logging.Logger``: making a record of each debug line would cost a tenth of a delivery.
    """

    def debug(self, text: str, *arguments: object, **_: object) -> None:
        """Note the line if it tells of an exception: plugins log their causes at this level."""
        if "Exception" in text:
            self.warning(text, *arguments)

    trace = info = debug

    def warning(self, text: str, *arguments: object, **_: object) -> None:
        """Note the line with the attempt in progress."""
        attempt = current()
        if attempt is not None:
            attempt.note(text % arguments if arguments else text)

    error = exception = critical = deprecate = warning

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name of logging.Logger's
        """Plugins ask before they put together a line about a whole payload: no."""
        return level >= logging.WARNING
