"""Access: who may ask. By a token; by a signature, for transitions only; or because only this machine can.

The token and the signature's key are compared in constant time, and stand in no log, answer or ``repr``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.requests import Request

from gateway.config.listen import is_loopback
from gateway.config.loader import Loaded
from gateway.config.secrets import resolve_url
from gateway.config.source import Problem
from gateway.config.url import Url
from gateway.errors import ConfigError, SecretError
from gateway.server.answers import RefusedError

SHORTEST_SECRET = 16
"""Characters: what is shorter can be found by trying."""

SIGNATURE_AGE_SECONDS = 300
"""A signature is good for so long, before and after its time: what was overheard cannot be sent again later."""

_KEY_PREFIX = "whsec_"
_SECONDS = re.compile(r"[0-9]{1,12}")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
_BEARER = re.compile(r"(?i:bearer) +(\S+) *", re.ASCII)


@dataclass(frozen=True, slots=True)
class Access:
    """What a request must bring.

    Attributes:
        token: the bearer token; ``None`` where everybody on this machine may ask.
        key: the key of signatures; ``None`` where none are taken.
    """

    token: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)

    def check(self, request: Request) -> None:
        """Refuse who may not ask.

        Raises:
            RefusedError: 401 without the token; where none is needed, 421 or 403 for what a browser was made to send
                by a page from elsewhere.
        """
        if self.token is None:
            _check_origin(request)
        elif not self._has_token(request):
            raise _unknown(request)

    def admits_unsigned(self, request: Request) -> bool:
        """Whether transitions are taken without a look at their signature; if not, :meth:`check_signature`.

        Raises:
            RefusedError: as :meth:`check`, if there is no signature to look at.
        """
        if self.token is not None and self._has_token(request):
            return True
        if self.key is not None and "webhook-signature" in request.headers:
            return False
        if self.key is not None:
            raise _unknown(request, "a signature" if self.token is None else "a bearer token or a signature")
        self.check(request)
        return True

    def check_signature(self, request: Request, body: bytes, now: float) -> None:
        """Refuse ``body`` unless it was signed with the key, lately.

        Args:
            request: has the headers ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``.
            body: as it came over the wire.
            now: seconds since 1970.

        Raises:
            RefusedError: 401.
        """
        id, at = request.headers.get("webhook-id"), request.headers.get("webhook-timestamp")
        if id is None or at is None or not _SECONDS.fullmatch(at):
            raise RefusedError(401, "a signature needs the headers webhook-id and webhook-timestamp", _CHALLENGE)
        if abs(now - int(at)) > SIGNATURE_AGE_SECONDS:
            raise RefusedError(401, f"the signature is not of the last {SIGNATURE_AGE_SECONDS} seconds", _CHALLENGE)
        expected = self._signature(id, at, body)
        given = request.headers["webhook-signature"].encode("latin-1").split(b" ")
        if not any(hmac.compare_digest(expected, one) for one in given):
            raise RefusedError(401, "the signature is not the one of this body", _CHALLENGE)

    def _signature(self, id: str, at: str, body: bytes) -> bytes:
        digest = hmac.new(self.key or b"", f"{id}.{at}.".encode("latin-1") + body, hashlib.sha256).digest()
        return b"v1," + base64.b64encode(digest)

    def _has_token(self, request: Request) -> bool:
        found = _BEARER.fullmatch(request.headers.get("authorization", ""))
        return found is not None and hmac.compare_digest(found[1].encode("latin-1"), self.token or b"")


_CHALLENGE = {"www-authenticate": 'Bearer realm="gateway"'}
_WRONG = {"www-authenticate": 'Bearer realm="gateway", error="invalid_token"'}


def _unknown(request: Request, needed: str = "a bearer token") -> RefusedError:
    if "authorization" in request.headers:
        return RefusedError(401, "this is not the token", _WRONG)
    return RefusedError(401, f"{needed} is needed", _CHALLENGE)


def _check_origin(request: Request) -> None:
    """Refuse what a page from elsewhere makes a browser send to this machine.

    Such a page can have its own name lead to 127.0.0.1; the browser then tells that name as the host.
    """
    host = request.headers.get("host", "")
    if not _is_of_this_machine(host):
        raise RefusedError(421, "without a token, only requests to localhost or a loopback address are answered")
    if "origin" in request.headers and request.headers["origin"].lower() != f"http://{host.lower()}":
        raise RefusedError(403, "without a token, requests of other pages are not answered")


@lru_cache(maxsize=64)
def _is_of_this_machine(host: str) -> bool:
    """Whether the header Host names this machine by a name that cannot mean another."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


# as declared


def declared_access(loaded: Loaded) -> Access:
    """The access that a configuration declares, its secrets resolved.

    Raises:
        ConfigError: a secret cannot be resolved, or is none; with its place.
    """
    access, problems = _declared(loaded)
    if problems:
        raise ConfigError(problems)
    return access


def access_problems(loaded: Loaded) -> list[Problem]:
    """What keeps :func:`declared_access` from giving any; nothing where HTTP is not served."""
    return _declared(loaded)[1] if loaded.sound.server.enabled else []


def _declared(loaded: Loaded) -> tuple[Access, list[Problem]]:
    problems: list[Problem] = []
    token = _resolved(loaded, "token", _token, problems)
    key = _resolved(loaded, "signature", _key, problems)
    return Access(token, key), problems


def _resolved(loaded: Loaded, name: str, read: Callable[[str], bytes], problems: list[Problem]) -> bytes | None:
    written: Url | None = getattr(loaded.sound.server, name)
    if written is None:
        return None
    try:
        return read(resolve_url(written, loaded.sources.base))
    except (SecretError, ValueError) as error:
        problems.append(loaded.problem("error", ("server", name), str(error)))
        return None


def _token(value: str) -> bytes:
    if len(value) < SHORTEST_SECRET or not _TOKEN.fullmatch(value):
        raise ValueError(f"a token has at least {SHORTEST_SECRET} letters, digits and '-', '.', '_', '~', '+', '/'")
    return value.encode()


def _key(value: str) -> bytes:
    if len(value) < SHORTEST_SECRET:
        raise ValueError(f"the key of signatures has at least {SHORTEST_SECRET} characters")
    if not value.startswith(_KEY_PREFIX):
        return value.encode()
    try:
        return base64.b64decode(value.removeprefix(_KEY_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"a key that begins with {_KEY_PREFIX!r} goes on in base64") from None
