"""Intake: transitions that come by HTTP. Answered once they are on the disk."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from gateway.app import Gateway
from gateway.config.size import Size
from gateway.errors import PayloadError, StoreClosedError, StoreError, StoreFullError
from gateway.server import body
from gateway.server.access import Access
from gateway.server.answers import COME_AGAIN, Answer, RefusedError
from gateway.server.completions import Completions
from gateway.server.gathering import Gathering, Take
from gateway.server.measures import Measures
from gateway.server.room import Room, Share
from gateway.sources.payload import BodyKind, parse_transitions
from gateway.store.rows import Accepted
from gateway.transition import Transition

T = TypeVar("T")

LONG_BYTES = 256 * 1024
"""Bodies over it are read in a thread: nobody else is to wait for that."""


class Intake:
    """Takes transitions in our own form, and has what all do that take some: from the first byte to the commit.

    Args:
        gateway: what keeps them.
        access: who may send them.
        limit: the largest body in bytes, unpacked.
        room: how much may be on its way at once.
        completions: of the loop that the requests are answered in.
        measures: counts what is refused.
    """

    def __init__(
        self,
        gateway: Gateway,
        access: Access,
        limit: Size,
        room: Room,
        completions: Completions,
        measures: Measures,
    ) -> None:
        self.gateway, self.completions, self.measures = gateway, completions, measures
        self._access, self._limit, self._room = access, limit, room
        self._long = ThreadPoolExecutor(1, thread_name_prefix="gateway-intake")
        self._plain = self.gathering(gateway.take)

    def gathering(self, take: Take) -> Gathering:
        """What hands over to ``take`` all that one turn of the loop has read."""
        return Gathering(take, self.completions, self._long)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keep the transitions of a body.

        Raises:
            RefusedError: nothing of it was kept, and why.
            ClientDisconnect: nobody waits for an answer.
        """
        await self.answer(self._take, scope, receive, send)

    async def answer(
        self, take: Callable[[Request], Awaitable[Answer]], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send what ``take`` answers, and count what it refuses; raises the same."""
        try:
            answer = await take(Request(scope, receive))
        except RefusedError as refused:
            if refused.status != 422:
                self.measures.refused(refused)
            raise
        await answer(scope, receive, send)

    async def _take(self, request: Request) -> Answer:
        received = self.admits(request)
        kind = body.kind_of(request)
        share = self.share()
        try:
            whole = await received(share)
            parsed = await self._parsed(whole, kind)
            transitions, errors = self._apart(parsed)
            share.take(transitions=len(transitions))
            self.check_disk()
        except BaseException:
            share.give_back()
            raise
        return _answer(await kept(self._plain, transitions, share), errors)

    def admits(self, request: Request) -> Callable[[Share], Awaitable[bytes]]:
        """What reads the body of ``request``, once it is known who sends it.

        Raises:
            RefusedError: whoever sends it may not.
        """
        is_known = self._access.admits_unsigned(request)
        return lambda share: self._received(request, share, is_known)

    def share(self) -> Share:
        """A share of the room, still empty."""
        return Share(self._room)

    async def _received(self, request: Request, share: Share, is_known: bool) -> bytes:
        received = await body.read(request, self._limit, share)
        if not is_known:
            self._access.check_signature(request, received, time.time())
        return body.unpack(request, received, self._limit, share)

    async def _parsed(self, whole: bytes, kind: BodyKind) -> list[Transition | PayloadError]:
        try:
            return await self.aside(len(whole), parse_transitions, whole, kind)
        except PayloadError as error:
            raise RefusedError(400, "; ".join(error.complaints)) from None

    async def aside(self, size: int, work: Callable[..., T], *arguments: Any) -> T:
        """What ``work`` returns; in a thread if it is about so many bytes that others would have to wait."""
        if size <= LONG_BYTES:
            return work(*arguments)
        return await self.in_thread(work, *arguments)

    async def in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """What ``work`` returns, done in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._long, work, *arguments)

    def _apart(self, parsed: Sequence[Transition | PayloadError]) -> tuple[list[Transition], list[dict[str, Any]]]:
        """The transitions, and what is wrong with the rest; refused if there is nothing but that."""
        transitions = [one for one in parsed if isinstance(one, Transition)]
        if len(transitions) == len(parsed):
            return transitions, []
        self.measures.malformed(len(parsed) - len(transitions))
        errors = [
            {"index": index, "complaints": one.complaints}
            for index, one in enumerate(parsed)
            if isinstance(one, PayloadError)
        ]
        if not transitions:
            raise RefusedError(422, "not one of these is a transition", more={**counts(()), "errors": errors})
        return transitions, errors

    def check_disk(self) -> None:
        """Take nothing more where what is left is needed to finish what was accepted."""
        try:
            is_full = self.gateway.store.room().refuses
        except StoreError:
            raise _unavailable("the gateway is stopping", "stopping") from None
        if is_full:
            raise _unavailable("the disk of the store is full", "store_full")

    def close(self) -> None:
        """Let go of the thread."""
        self._long.shutdown(wait=False)


async def kept(gathering: Gathering, transitions: Sequence[Transition], share: Share) -> tuple[Accepted, ...]:
    """What the store answered to ``transitions``; ``share`` is given back once it has.

    Raises:
        RefusedError: 503, it did not take them, or nobody knows yet.
    """
    try:
        return await gathering.keep(transitions, share.give_back)
    except TimeoutError:
        detail = "the store is slow; what was sent may be kept yet, so send it again by its id"
        raise _unavailable(detail, "store_slow") from None
    except StoreClosedError:
        raise _unavailable("the gateway is stopping", "stopping") from None
    except StoreFullError:
        raise _unavailable("the disk of the store is full", "store_full") from None
    except StoreError:
        raise _unavailable("the store takes nothing at present", "store") from None


def _unavailable(detail: str, reason: str) -> RefusedError:
    return RefusedError(503, detail, COME_AGAIN, reason=reason)


def _answer(kept: tuple[Accepted, ...], errors: list[dict[str, Any]]) -> Answer:
    if not errors:
        duplicates = [one.duplicate for one in kept].count(True)
        return Answer(b'{"accepted":%d,"duplicates":%d}' % (len(kept) - duplicates, duplicates), 202)
    return Answer(json.dumps({**counts(kept), "errors": errors}).encode(), 202)


def counts(kept: Sequence[Accepted]) -> dict[str, int]:
    """How many are new, and how many were known."""
    duplicates = [one.duplicate for one in kept].count(True)
    return {"accepted": len(kept) - duplicates, "duplicates": duplicates}
