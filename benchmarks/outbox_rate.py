"""Transitions accepted and deliveries finished per second, into a channel that costs nothing.

Each row is a fresh store on the disk of the temporary folder. "sync full" means that every answer
was preceded by an fsync.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from gateway.channels.base import DELIVERED, Message, Outcome
from gateway.delivery.dispatcher import Dispatcher
from gateway.delivery.lane import ChannelRuntime
from gateway.delivery.outbox import Outbox
from gateway.format import Format
from gateway.store.opening import Sync, open_store
from gateway.store.rows import Acceptance, NewDelivery
from gateway.store.store import Store
from gateway.testing.builders import acceptance, new_delivery, notification, transition


class NullChannel:
    """Takes everything at once."""

    name, width, default_rate = "oncall", 8, 0.0
    format: Format = "text"

    def send(self, message: Message, timeout: float) -> Outcome:
        return DELIVERED

    def close(self) -> None:
        pass


def main(quick: bool = False) -> None:
    number = 2_000 if quick else 20_000
    print(f"{'':<44}{'per second':>12}{'CPU µs each':>14}{'p50 ms':>9}{'p99 ms':>9}")
    for sync in ("full", "normal"):
        for threads in (1, 16, 64):
            show(f"accept, {threads} callers, sync {sync}", sync, partial(accept_singly, threads, number))
        show(f"accept, 100 in flight from one caller, sync {sync}", sync, partial(accept_batches, number))
        show(f"accept to receipt, 16 callers, sync {sync}", sync, partial(deliver, number // 2))


def show(what: str, sync: Sync, run: Callable[[Store], tuple[int, list[float]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{Path(folder) / 'gateway.db'}", sync)
        began, cpu = time.perf_counter(), time.process_time()
        number, waits = run(store)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        store.close()
    cuts = statistics.quantiles(waits, n=100) if waits else []
    p50, p99 = (f"{cuts[at] * 1000:.2f}" if cuts else "" for at in (49, 98))
    print(f"{what:<44}{number / seconds:>12,.0f}{cpu / number * 1e6:>14.0f}{p50:>9}{p99:>9}")


def accept_singly(threads: int, number: int, store: Store) -> tuple[int, list[float]]:
    """Each caller waits for its answer before it asks again, as flows do."""
    number = number if threads > 1 else number // 10
    outbox = Outbox(store)
    return number, in_threads(threads, number, lambda: outbox.accept(transition(), [notification()]))


def accept_batches(number: int, store: Store) -> tuple[int, list[float]]:
    new: NewDelivery = new_delivery()
    waits = []
    for _ in range(number // 100):
        batch: list[Acceptance] = [acceptance(new) for _ in range(100)]
        began = time.perf_counter()
        for answer in [store.accept(one) for one in batch]:
            answer.result()
        waits.append(time.perf_counter() - began)
    return number, waits


def deliver(number: int, store: Store) -> tuple[int, list[float]]:
    dispatcher = Dispatcher(store, {"oncall": ChannelRuntime(NullChannel())})
    outbox = Outbox(store, has_room=dispatcher.has_room)
    dispatcher.start()
    in_threads(16, number, lambda: dispatcher.hand_over(outbox.accept(transition(), [notification()]).claimed))
    assert dispatcher.drain(120) == 0
    dispatcher.close()
    return number, []


def in_threads(threads: int, number: int, call: Callable[[], object]) -> list[float]:
    """Call ``number`` times from ``threads`` threads; how long each call took."""
    waits: list[float] = []
    ready = threading.Barrier(threads)

    def work(calls: int) -> None:
        ready.wait()
        for _ in range(calls):
            began = time.perf_counter()
            call()
            waits.append(time.perf_counter() - began)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, [number // threads] * threads))
    return waits


if __name__ == "__main__":
    main()
