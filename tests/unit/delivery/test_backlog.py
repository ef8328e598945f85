from __future__ import annotations

import logging
import os
import time

from gateway.delivery.backlog import MOST, Backlog
from gateway.errors import StoreFullError


def refusing(times: int, done: list[str], name: str):
    left = [times]

    def work() -> None:
        if left[0]:
            left[0] -= 1
            raise StoreFullError("full")
        done.append(name)

    return work


def test_refused_work_is_done_in_order_once_the_store_takes_it() -> None:
    backlog, done = Backlog(), []
    backlog.add(refusing(1, done, "first"))
    backlog.add(refusing(0, done, "second"))

    assert backlog.work_off() == 2
    assert backlog.work_off() == 0
    assert done == ["first", "second"]
    backlog.close()


def test_work_that_fails_otherwise_is_dropped_and_stops_nobody(caplog) -> None:
    backlog, done = Backlog(), []
    backlog.add(lambda: 1 / 0)
    backlog.add(refusing(0, done, "good"))

    assert backlog.work_off() == 0
    assert done == ["good"]
    assert "could not be made" in caplog.text
    backlog.close()


def test_what_the_store_refuses_to_the_end_is_said_to_be_lost(caplog) -> None:
    backlog = Backlog()
    backlog.add(refusing(99, [], "never"))

    with caplog.at_level(logging.ERROR):
        backlog.close()

    assert "lost" in caplog.text


def test_the_backlog_is_bounded_and_gives_up_the_oldest(caplog) -> None:
    backlog, done = Backlog(), []
    for number in range(MOST + 1):
        backlog.add(refusing(0, done, str(number)))

    assert len(backlog) == MOST
    assert "given up" in caplog.text
    backlog.close()
    assert done == [str(number) for number in range(1, MOST + 1)]


def test_work_that_comes_after_the_end_is_said_to_be_lost(caplog) -> None:
    backlog = Backlog()
    backlog.close()

    backlog.add(refusing(0, [], "late"))

    assert "the gateway is closed" in caplog.text
    assert len(backlog) == 0


def test_a_forked_child_leaves_the_work_to_its_parent_and_can_do_its_own() -> None:
    backlog, done = Backlog(), []
    backlog.add(refusing(99, done, "of the parent"))

    child = os.fork()
    if child == 0:
        inherited = len(backlog)
        backlog.add(refusing(1, done, "of the child"))
        deadline = time.monotonic() + 10
        while not done and time.monotonic() < deadline:
            time.sleep(0.01)
        os._exit(0 if (inherited, done) == (0, ["of the child"]) else 1)

    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert len(backlog) == 1
    backlog.close()
