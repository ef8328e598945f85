"""Transport: the HTTP connections and TLS contexts every delivery of this process shares.

apprise opens a connection and reads the whole CA bundle for each request; here connections are
kept, the bundle is read once, answers are noted and nothing outlasts the attempt's deadline.
"""

from __future__ import annotations

import functools
import http.client
import os
import socket
import ssl
import threading
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import certifi
import requests
from apprise.plugins.base import _delivery_index
from requests.adapters import HTTPAdapter
from requests.utils import should_bypass_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from gateway.channels.attempt import Answer, Attempt, Fault, in_progress, timed

MAX_BODY = 256 * 1024
"""Bytes read of an answer; a longer one is cut and its connection given up."""

HOSTS, CONNECTIONS_PER_HOST = 64, 16
"""How many hosts are kept connected, and how many idle connections to each."""


class Transport:
    """Sends requests for the attempt in progress.

    Args:
        routes: for tests: requests to a host named here go to the base URL it is mapped to
            (``{"hooks.slack.com": "http://127.0.0.1:8080"}``), path, query and ``Host`` header unchanged,
            so that a service's real plugin can be tried against a server of one's own.
        ca_file: the only certificates to trust. Otherwise ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE`` if
            set, or else those the system and certifi trust.
    """

    def __init__(self, *, routes: Mapping[str, str] | None = None, ca_file: str | None = None) -> None:
        self._ca_file = ca_file or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        self._proxies = getproxies()
        self._adapter = _Adapter(self, dict(routes or {}))
        self._session = _session(self._adapter)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """What ``requests.request`` does; redirects are followed only where the channel's URL asks for it."""
        proxies = {} if not self._proxies or should_bypass_proxies(url, no_proxy=None) else self._proxies
        send = self._session.request if options.pop("allow_redirects", False) else self._send_once
        try:
            return send(method, url, proxies=proxies, **options)
        except Exception as error:
            in_progress().events.append(Fault(error))
            raise

    def _send_once(
        self,
        method: str,
        url: str,
        *,
        proxies: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        timeout: Any = None,
        verify: bool = True,
        stream: bool = False,
        **content: Any,
    ) -> requests.Response:
        """The short way past ``Session``, whose merging of settings costs as much as the sending."""
        request = requests.PreparedRequest()
        all_headers = self._session.headers.copy()
        all_headers.update(headers or {})
        request.prepare(method, url, headers=all_headers, **content)
        return self._adapter.send(request, stream, timeout, verify, None, proxies)

    def tls(self, verify: bool) -> ssl.SSLContext:
        """The TLS context for connections that do or do not check certificates. Building one takes 20 ms."""
        with self._lock:
            if verify not in self._contexts:
                self._contexts[verify] = self._trusting() if verify else _trusting_anyone()
            return self._contexts[verify]

    def _trusting(self) -> ssl.SSLContext:
        if self._ca_file:
            place = Path(self._ca_file)
            is_folder = place.is_dir()
            return ssl.create_default_context(cafile=None if is_folder else place, capath=place if is_folder else None)
        context = ssl.create_default_context()
        context.load_verify_locations(cafile=certifi.where())
        return context

    def close(self) -> None:
        """Close idle connections. A later request opens new ones."""
        self._session.close()


@functools.cache
def shared_transport() -> Transport:
    """The transport of every channel that is not given one of its own."""
    return Transport()


def _trusting_anyone() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _session(adapter: HTTPAdapter) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # or ~/.netrc would add credentials to other people's requests
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    return session


class _Adapter(HTTPAdapter):
    """Adds to requests' own: routes, idempotency keys, notes of every answer, deadlines, shared TLS contexts."""

    def __init__(self, transport: Transport, routes: Mapping[str, str]) -> None:
        self._transport, self._routes = transport, routes
        super().__init__(pool_connections=HOSTS, pool_maxsize=CONNECTIONS_PER_HOST)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._transport.tls(bool(verify))} if host["scheme"] == "https" else {}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing to do: the context says it all, and naming the bundle would make urllib3 read it again."""

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        attempt = in_progress()
        if self._reroute(request):
            proxies = None  # they were chosen for the address of the service
        _add_idempotency_key(request, attempt)
        limits = _limits(timeout, attempt)
        response = super().send(request, True, limits, verify, cert, proxies)
        body = _read(response)
        attempt.events.append(Answer(response.status_code, response.headers.get("Retry-After"), body))
        return response

    def _reroute(self, request: requests.PreparedRequest) -> bool:
        address = urlsplit(request.url or "")
        base = self._routes.get(address.hostname or "")
        if base is not None:
            request.headers["Host"] = address.netloc.rpartition("@")[2]
            request.url = base + address.path + (f"?{address.query}" if address.query else "")
        return base is not None


def _add_idempotency_key(request: requests.PreparedRequest, attempt: Attempt) -> None:
    """One key for each piece of a split message: the second piece is no repeat of the first."""
    if attempt.idempotency_key:
        piece = _delivery_index.get()
        key = f"{attempt.idempotency_key}-{piece}" if piece else attempt.idempotency_key
        request.headers.setdefault("Idempotency-Key", key)


def _limits(timeout: Any, attempt: Attempt) -> tuple[float, float]:
    """The plugin's (connect, read) timeouts, neither beyond the deadline."""
    left = attempt.remaining()
    if left <= 0:
        raise requests.ConnectTimeout("the deadline of the attempt has passed")
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    return min(connect or left, left), min(read or left, left)


def _read(response: requests.Response) -> bytes:
    """Read the body now, while answers are noted, and hand it to ``response`` as if it had done so itself."""
    try:
        body = response.raw.read(MAX_BODY, decode_content=True)
    except HTTPError as error:  # urllib3's: plugins only expect requests' own
        raise requests.ConnectionError(error, request=response.request) from error
    response._content = body
    response._content_consumed = True
    if len(body) < MAX_BODY:
        response.raw.release_conn()
    else:
        response.raw.close()
    return bytes(body)


class _TimedResponse(http.client.HTTPResponse):
    """Reads status line, headers and body within the deadline, however slowly they drip."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = timed(self.fp, sock, in_progress())


class _Connection(HTTPConnection):
    response_class = _TimedResponse


class _SecureConnection(HTTPSConnection):
    response_class = _TimedResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection

    def _validate_conn(self, conn: Any) -> None:
        """Connect early, as the original does, but without a warning: ``?verify=no`` was asked for."""
        if conn.is_closed:
            conn.connect()


_POOLS = {"http": _Pool, "https": _SecurePool}
