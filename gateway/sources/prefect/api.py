"""Api: questions to the API of a Prefect 3 server. Imports httpx, which the extra ``prefect`` brings."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx

from gateway.compile import PrefectServer
from gateway.errors import SourceError

Json = dict[str, Any]

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer that are read. An event may have 1.5 MB, and a page 50 of them."""

LARGEST_PAGE = 50
"""Events the server gives at a time, at most."""

LONGEST_DETAIL = 200
CLOCK_NOISE = timedelta(seconds=2)
"""The server tells its time in whole seconds: what differs by less is the same."""


class ApiError(SourceError):
    """The API did not give what was asked for; ``status`` is that of its answer, 0 if there was none."""

    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status
        super().__init__(message)

    @property
    def is_final(self) -> bool:
        """Whether the same question will get no other answer: it is not allowed, or not understood."""
        return 400 <= self.status < 500 and self.status not in (408, 425, 429)


class TooLargeError(ApiError):
    """An answer is longer than :data:`LARGEST_ANSWER`: ask for less at a time."""


@dataclass(frozen=True, slots=True)
class Page:
    """Events in the order they occurred, and the token of the page behind, ``""`` if there is none."""

    events: Sequence[Any]
    token: str


class Api:
    """One server's API. Used in one event loop; close it there.

    Args:
        server: whose.
        timeout: seconds for one question, connecting included.

    It follows no redirect: what it carries is for that server alone.
    """

    def __init__(self, server: PrefectServer, timeout: httpx.Timeout = TIMEOUT) -> None:
        self.server = server
        self._client = httpx.AsyncClient(headers=credentials(server), timeout=timeout, follow_redirects=False)
        self._name = str(uuid4())
        self._token = ""
        self._renewing = asyncio.Lock()
        self._ahead = timedelta()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    def now(self) -> datetime:
        """The time by the server's clock, as far as its answers tell."""
        return datetime.now(UTC) + self._ahead

    async def events(self, filter: Json, limit: int = LARGEST_PAGE) -> Page:
        """The first page of the events that ``filter`` lets pass."""
        return _page(await self._ask("POST", "/events/filter", body={"filter": filter, "limit": limit}))

    async def events_behind(self, token: str) -> Page:
        """The page of which another told the token."""
        return _page(await self._ask("GET", "/events/filter/next", query={"page-token": token}))

    async def search(self, kind: str, body: Json) -> list[Json]:
        """The objects of ``kind``, such as ``"flow_runs"``, that ``body`` asks for."""
        return _objects(await self._ask("POST", f"/{kind}/filter", body=body))

    async def one(self, kind: str, id: str) -> Json | None:
        """The object of ``kind`` with that id; ``None`` if there is none."""
        try:
            return _object(await self._ask("GET", f"/{kind}/{id}"))
        except ApiError as error:
            if error.status in (404, 422):
                return None
            raise

    async def states(self, kind: str, run_id: str) -> list[Json]:
        """All states that a run of ``kind``, ``"flow_run"`` or ``"task_run"``, was ever in, in order."""
        found = _objects(await self._ask("GET", f"/{kind}_states/", query={f"{kind}_id": run_id}))
        return sorted(found, key=lambda state: str(state.get("timestamp")))

    async def _ask(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None) -> Any:
        status, text = await self._call(method, path, query, body)
        if status == 403 and _is_about_csrf(text):
            await self._renew_token(self._token)
            status, text = await self._call(method, path, query, body)
        if status != 200:
            raise ApiError(self._complaint(status, path, text), status)
        return self._parsed(text)

    def _parsed(self, text: bytes) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise ApiError(f"what answers at {self.server.shown} is not the API of Prefect 3: {_RIGHT_API}") from None

    async def _call(self, method: str, path: str, query: Mapping[str, str] | None, body: Any) -> tuple[int, bytes]:
        headers = {"Prefect-Csrf-Token": self._token, "Prefect-Csrf-Client": self._name} if self._token else {}
        url = self.server.api + path
        try:
            async with self._client.stream(method, url, params=query, json=body, headers=headers) as response:
                self._note_clock(response.headers.get("Date"))
                return response.status_code, await _read(response)
        except httpx.HTTPError as error:
            raise ApiError(self._trouble(error)) from None
        except (httpx.InvalidURL, ValueError) as error:
            raise ApiError(f"{self.server.shown} cannot be asked: {type(error).__name__}; {_RIGHT_API}") from None

    async def _renew_token(self, refused: str) -> None:
        """Get another token that protects against forged requests, unless somebody else just did."""
        async with self._renewing:
            if self._token != refused:
                return
            status, text = await self._call("GET", "/csrf-token", {"client": self._name}, None)
            token = _object(self._parsed(text)).get("token") if status == 200 else None
            if not isinstance(token, str):
                raise ApiError(self._complaint(status, "/csrf-token", text), status)
            self._token = token

    def _note_clock(self, told: str | None) -> None:
        try:
            ahead = parsedate_to_datetime(told or "").astimezone(UTC) - datetime.now(UTC)
        except (ValueError, TypeError, OverflowError):
            return
        self._ahead = ahead if abs(ahead) > CLOCK_NOISE else timedelta()

    def _trouble(self, error: httpx.HTTPError) -> str:
        """What happened, in words. The text of an error may show an address with a password, so it is left out."""
        where = self.server.shown
        match error:
            case httpx.ConnectTimeout() | httpx.ConnectError():
                return f"nobody answers at {where} ({_cause(error)}). Does the server run, and is 'api' right?"
            case httpx.TimeoutException():
                return f"no answer in time from {where}"
            case httpx.UnsupportedProtocol():
                return f"no way to connect to {where}: {_RIGHT_API}"
        return f"the connection to {where} broke ({type(error).__name__})"

    def _complaint(self, status: int, path: str, text: bytes) -> str:
        """What an answer other than the wanted one means, and what would be right."""
        where, said = self.server.shown, _detail(text)
        match status:
            case 401 if self.server.auth or self.server.key:
                key = "auth" if self.server.auth else "key"
                return f"{where} refuses what {key!r} in [source.prefect] holds (401): {_RIGHT_CREDENTIALS}"
            case 401:
                return f"{where} asks for credentials (401), add them to [source.prefect]: {_RIGHT_CREDENTIALS}"
            case 403:
                return f"{where} forbids to read {path} (403){said}: see 'auth' or 'key' in [source.prefect]"
            case 404 | 405:
                return f"there is no {path} at {where} ({status}): {_RIGHT_API}"
            case 300 | 301 | 302 | 303 | 307 | 308:
                return f"{where} sends on to another address ({status}): give the one it ends at as 'api'"
            case 429:
                return f"{where} asks for fewer questions (429): a longer 'sweep' helps"
        return f"{where} answers {path} with {status}{said}"


_RIGHT_API = "'api' in [source.prefect] is what Prefect calls PREFECT_API_URL, and ends in /api on a server"
_RIGHT_CREDENTIALS = "'auth' is the server's PREFECT_SERVER_API_AUTH_STRING, 'key' an API key of Prefect Cloud"


def credentials(server: PrefectServer) -> dict[str, str]:
    """The header that says who asks, if that has to be said."""
    if server.auth:
        return {"Authorization": "Basic " + base64.b64encode(server.auth.encode()).decode()}
    return {"Authorization": f"Bearer {server.key}"} if server.key else {}


async def _read(response: httpx.Response) -> bytes:
    parts, length = [], 0
    async for part in response.aiter_bytes():
        length += len(part)
        if length > LARGEST_ANSWER:
            raise TooLargeError("an answer of the API is too large")
        parts.append(part)
    return b"".join(parts)


def _is_about_csrf(text: bytes) -> bool:
    said = _detail(text)
    return "CSRF" in said or "client identifier" in said


def _detail(text: bytes) -> str:
    """What a refusal says of itself, if it does; begins with ``": "``."""
    try:
        said = json.loads(text).get("detail")
    except (ValueError, AttributeError):
        return ""
    return f": {said[:LONGEST_DETAIL]}" if isinstance(said, str) else ""


def _cause(error: BaseException) -> str:
    """The innermost reason of an error, as the operating system words it."""
    found = error
    while (inner := found.__cause__ or found.__context__) is not None:
        found = inner
    return getattr(found, "strerror", None) or type(error).__name__


def _page(answer: Any) -> Page:
    """A page of events. Of the address of the next one, the token alone is used: the host may be anybody's."""
    page = _object(answer)
    events, behind = page.get("events"), page.get("next_page")
    if not isinstance(events, list):
        raise ApiError("the API's answer has no events: is it Prefect 3?")
    token = parse_qs(urlsplit(behind).query).get("page-token", [""])[0] if isinstance(behind, str) else ""
    return Page(events, token)


def _object(answer: Any) -> Json:
    if not isinstance(answer, dict):
        raise ApiError("the API's answer is no object: is it Prefect 3?")
    return answer


def _objects(answer: Any) -> list[Json]:
    if not isinstance(answer, list):
        raise ApiError("the API's answer is no list: is it Prefect 3?")
    return [one for one in answer if isinstance(one, dict)]
