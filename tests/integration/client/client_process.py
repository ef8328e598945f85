"""A process that tells of state changes by a client, as one of its commands says; needs nothing but the package.

``client_process.py URL SPOOL COMMAND [COUNT]``; every message is ``COMMAND-NUMBER``.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import time

from gateway import Task, states
from gateway.client import Client

url, spool, command, *more = sys.argv[1:]
count = int(more[0]) if more else 3
client = Client(url, spool=spool)
task = Task("load")


def tell(name: str, number: int = count) -> None:
    for index in range(number):
        client(task, states.Running(), states.Success(f"{name}-{index}"))


def ends() -> None:
    """At once after the last call."""
    tell("ends")


def is_killed() -> None:
    tell("is_killed")
    os.kill(os.getpid(), signal.SIGKILL)


def forks() -> None:
    tell("parent")
    child = os.fork()
    if child == 0:
        tell("child")
        sys.exit()  # by the way that ends a process, with what is registered for it
    os.waitpid(child, 0)


def forks_during_a_request() -> None:
    tell("parent")
    time.sleep(0.5)  # the thread is in the middle of an answer that is long in coming
    child = os.fork()
    if child == 0:
        tell("child")
        sys.exit()
    os.waitpid(child, 0)


def forks_and_is_killed() -> None:
    """While the child lives on: what the parent has left must not be locked by the child."""
    tell("parent")
    if os.fork() == 0:
        print("forked", flush=True)
        time.sleep(30)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


def starts_workers(method: str) -> None:
    tell("parent")
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=by_worker, args=(client, name)) for name in "abcd"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def by_worker(handler: Client, name: str) -> None:
    handler(task, states.Running(), states.Success(f"worker-{name}"))


def forks_workers() -> None:
    starts_workers("fork")


def spawns_workers() -> None:
    starts_workers("spawn")


def waits() -> None:
    """Tell, say so, and go on when a line comes; then tell once more."""
    tell("before")
    print("told", flush=True)
    sys.stdin.readline()
    tell("after")


def has_a_full_disk() -> None:
    """No file may grow: the system refuses it as it does where there is no room."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    tell("has_a_full_disk")


def loads_nothing() -> None:
    tell("loads_nothing")
    print(*sorted({name.partition(".")[0] for name in sys.modules}))


if __name__ == "__main__":
    globals()[command]()
