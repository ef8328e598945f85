"""Intake: transitions that come by HTTP. Answered once they are on the disk."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from gateway.app import Gateway
from gateway.config.size import Size
from gateway.errors import PayloadError, StoreClosedError, StoreError, StoreFullError
from gateway.server import body
from gateway.server.access import Access
from gateway.server.answers import COME_AGAIN, Answer, RefusedError
from gateway.server.completions import Completions
from gateway.server.gathering import Gathering
from gateway.server.measures import Measures
from gateway.server.room import Room, Share
from gateway.sources.payload import BodyKind, parse_transitions
from gateway.store.rows import Accepted
from gateway.transition import Transition

LONG_BYTES = 256 * 1024
"""Bodies over it are read in a thread: nobody else is to wait for that."""


class Intake:
    """Takes transitions from requests.

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
        self._gateway, self._access, self._limit = gateway, access, limit
        self._room, self._measures = room, measures
        self._long = ThreadPoolExecutor(1, thread_name_prefix="gateway-intake")
        self._gathering = Gathering(gateway.take, completions, self._long)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keep the transitions of a body.

        Raises:
            RefusedError: nothing of it was kept, and why.
            ClientDisconnect: nobody waits for an answer.
        """
        try:
            answer = await self._take(Request(scope, receive))
        except RefusedError as refused:
            if refused.status != 422:
                self._measures.refused(refused)
            raise
        await answer(scope, receive, send)

    async def _take(self, request: Request) -> Answer:
        is_known = self._access.admits_unsigned(request)
        kind = body.kind_of(request)
        share = Share(self._room)
        try:
            received = await body.read(request, self._limit, share)
            if not is_known:
                self._access.check_signature(request, received, time.time())
            whole = body.unpack(request, received, self._limit, share)
            parsed = await self._parsed(whole, kind)
            transitions, errors = self._apart(parsed)
            share.take(transitions=len(transitions))
            self._check_disk()
        except BaseException:
            share.give_back()
            raise
        return _answer(await self._kept(transitions, share), errors)

    async def _parsed(self, whole: bytes, kind: BodyKind) -> list[Transition | PayloadError]:
        try:
            if len(whole) <= LONG_BYTES:
                return parse_transitions(whole, kind)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._long, parse_transitions, whole, kind)
        except PayloadError as error:
            raise RefusedError(400, "; ".join(error.complaints)) from None

    def _apart(self, parsed: Sequence[Transition | PayloadError]) -> tuple[list[Transition], list[dict[str, Any]]]:
        """The transitions, and what is wrong with the rest; refused if there is nothing but that."""
        transitions = [one for one in parsed if isinstance(one, Transition)]
        if len(transitions) == len(parsed):
            return transitions, []
        self._measures.malformed(len(parsed) - len(transitions))
        errors = [
            {"index": index, "complaints": one.complaints}
            for index, one in enumerate(parsed)
            if isinstance(one, PayloadError)
        ]
        if not transitions:
            raise RefusedError(422, "not one of these is a transition", more={**_counts(()), "errors": errors})
        return transitions, errors

    def _check_disk(self) -> None:
        """Take nothing more where what is left is needed to finish what was accepted."""
        try:
            is_full = self._gateway.store.room().refuses
        except StoreError:
            raise _unavailable("the gateway is stopping", "stopping") from None
        if is_full:
            raise _unavailable("the disk of the store is full", "store_full")

    async def _kept(self, transitions: list[Transition], share: Share) -> tuple[Accepted, ...]:
        try:
            return await self._gathering.keep(transitions, share.give_back)
        except TimeoutError:
            detail = "the store is slow; what was sent may be kept yet, so send it again by its id"
            raise _unavailable(detail, "store_slow") from None
        except StoreClosedError:
            raise _unavailable("the gateway is stopping", "stopping") from None
        except StoreFullError:
            raise _unavailable("the disk of the store is full", "store_full") from None
        except StoreError:
            raise _unavailable("the store takes nothing at present", "store") from None

    def close(self) -> None:
        """Let go of the thread."""
        self._long.shutdown(wait=False)


def _unavailable(detail: str, reason: str) -> RefusedError:
    return RefusedError(503, detail, COME_AGAIN, reason=reason)


def _answer(kept: tuple[Accepted, ...], errors: list[dict[str, Any]]) -> Answer:
    if not errors:
        duplicates = [one.duplicate for one in kept].count(True)
        return Answer(b'{"accepted":%d,"duplicates":%d}' % (len(kept) - duplicates, duplicates), 202)
    return Answer(json.dumps({**_counts(kept), "errors": errors}).encode(), 202)


def _counts(kept: Sequence[Accepted]) -> dict[str, int]:
    duplicates = [one.duplicate for one in kept].count(True)
    return {"accepted": len(kept) - duplicates, "duplicates": duplicates}
