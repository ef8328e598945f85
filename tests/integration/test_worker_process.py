"""A gateway in the workers of a process pool, which end without the usual goodbyes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from gateway import Task, states
from gateway.app import Gateway
from gateway.testing import HttpSink
from gateway.testing.http_sink import Exchange, answer

pytestmark = pytest.mark.slow


def slowly(exchange: Exchange) -> None:
    exchange.pause(0.5)
    answer()(exchange)


def test_a_worker_that_ends_sends_what_it_was_told(write: Callable[..., Path], opened: Callable[..., Gateway]) -> None:
    with HttpSink(slowly) as sink:
        channel = f'[channel.hook]\nurl = "json://127.0.0.1:{sink.port}/"\n'
        gateway = opened(write('[[handler]]\nname = "told"\nto = "hook"\n', channel), watch=False)
        with ProcessPoolExecutor(1, mp_context=get_context("forkserver")) as pool:
            pool.submit(gateway, Task("load"), states.Running(), states.Failed("gone")).result(30)

        assert len(sink.received) == 1
        assert gateway.store.owed() == 0
