"""Forks in the middle of work: the child can use the store at once, whatever the parent's threads were at."""

from __future__ import annotations

import os
import signal
import threading

from gateway.testing.builders import transition

FAILED = '[[handler]]\nname = "failed"\nwhen = "state is failed"\nto = "box"\nmessage = "{{ task.name }} failed"\n'


def test_a_child_forked_while_others_write_and_read_can_write(write, opened) -> None:
    gateway = opened(write(FAILED), watch=False)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            gateway.take([transition(new="Success")], kept=True).result()
            gateway.store.counters()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        ends = [
            _forked(lambda n=n: gateway.take([transition(id=f"child-{n}", new="Success")]).result()) for n in range(40)
        ]
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert ends == [0] * 40
    assert all(gateway.store.transition(f"child-{n}") for n in range(40))


def _forked(work) -> int:
    """How a child ended that did ``work``; one that hangs is killed."""
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]
