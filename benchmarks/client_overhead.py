"""What a call of a client costs a flow, beside a request in the handler and a record to the queue of ``logging``.

The server answers at once and keeps nothing: only what the caller waits for counts.
"""

from __future__ import annotations

import logging
import queue
import tempfile
from collections.abc import Callable
from functools import partial
from logging.handlers import QueueHandler

import requests

from benchmarks._table import ratio, show
from benchmarks._timing import in_turns
from gateway import Task, context
from gateway.client import Client
from gateway.client.line import line_of
from gateway.inprocess import observe
from gateway.states import Running, Success
from gateway.testing import HttpSink
from tests.sidecar import take_all

AWAY = "http://127.0.0.1:9"
RUN = {"flow_name": "orders", "flow_run_id": "run-1", "task_full_name": "load", "task_run_id": "run-1/load-1"}
OURS = "a client, its gateway away"


def main(quick: bool = False) -> None:
    calls, rounds = (100, 1) if quick else (2_000, 5)
    with HttpSink(take_all) as sink, tempfile.TemporaryDirectory() as folder, context(**RUN):
        clients = [
            Client(AWAY, spool=f"{folder}/away"),
            Client(sink.url, spool=f"{folder}/there"),
            Client(AWAY, spool=f"{folder}/sync", sync=True),
        ]
        contenders = variants(sink.url, *clients)
        times = in_turns({name: partial(repeat, call, calls) for name, call in contenders.items()}, rounds)
        for client in clients:
            assert client.lost == 0
            client.close(0)
    ours = times[OURS].wall
    show(
        "one transition handed on, µs on the clock of the caller",
        ("", "µs", "beside a client"),
        [(name, 1e6 * took.wall / calls, ratio(took.wall, ours)) for name, took in times.items()],
    )


def variants(url: str, away: Client, there: Client, sync: Client) -> dict[str, Callable[[], object]]:
    task, old, new = Task("load"), Running(), Success("Task run succeeded.")
    logger = logging.Logger("client_overhead")
    logger.addHandler(QueueHandler(queue.SimpleQueue()))
    session = requests.Session()

    def post() -> None:
        body = line_of(observe(task, old, new))
        session.post(f"{url}/api/v1/transitions", body, headers={"content-type": "application/json"}, timeout=5)

    return {
        "logging's QueueHandler": partial(logger.info, "%s went from %s to %s", task.name, old, new),
        "the line alone, not written": lambda: line_of(observe(task, old, new)),
        OURS: partial(away, task, old, new),
        "a client, its gateway there": partial(there, task, old, new),
        "a client that waits for the disk (sync)": partial(sync, task, old, new),
        "requests.Session.post in the handler": post,
    }


def repeat(work: Callable[[], object], times: int) -> None:
    for _ in range(times):
        work()


if __name__ == "__main__":
    main()
