"""Questions: what a request asks of the store or the rules is answered in a thread, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gateway.errors import StoreError, StoreSlowError
from gateway.server.answers import COME_AGAIN, RefusedError

T = TypeVar("T")

AT_ONCE = 2
"""The store has four readers, and the dispatcher needs one at any time."""

MOST_WAITING = 16


class Questions:
    """Threads that wait for answers. To be used in the event loop."""

    def __init__(self, at_once: int = AT_ONCE, most_waiting: int = MOST_WAITING) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="gateway-question")
        self._most = at_once + most_waiting
        self._asked = 0

    async def ask(self, question: Callable[[], T]) -> T:
        """What ``question`` answers.

        Raises:
            RefusedError: 503, too many are asked at once, or the store cannot answer now.
        """
        if self._asked >= self._most:
            raise RefusedError(503, "too many questions are asked at once", COME_AGAIN)
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, question)
        except StoreSlowError:
            raise RefusedError(503, "this takes too long: ask for less, such as since=1h", COME_AGAIN) from None
        except StoreError:
            raise RefusedError(503, "the store does not answer at present", COME_AGAIN) from None
        finally:
            self._asked -= 1

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
