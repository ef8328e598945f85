"""Observers are told what happens, one after the other, and whatever they do, the work goes on."""

from __future__ import annotations

import logging

from gateway.delivery.observers import Faulty, Observers

RECORD = Faulty("load-failed", "check")


def test_everybody_is_told_in_order() -> None:
    observers, told = Observers(), []
    observers.add(lambda record: told.append(("first", record)))
    observers.add(lambda record: told.append(("second", record)))

    observers.tell(RECORD)

    assert told == [("first", RECORD), ("second", RECORD)]


def test_nobody_is_there_until_somebody_is_added_and_after_he_is_removed() -> None:
    observers, told = Observers(), []

    assert not observers
    observers.add(told.append)
    assert observers
    observers.remove(told.append)

    assert not observers
    observers.tell(RECORD)
    assert told == []


def test_an_observer_that_fails_keeps_nothing_from_the_others_and_is_logged_once(caplog) -> None:
    observers, told = Observers(), []

    def failing(record: object) -> None:
        raise RuntimeError("broken")

    observers.add(failing)
    observers.add(told.append)
    with caplog.at_level(logging.ERROR, "gateway"):
        for _ in range(3):
            observers.tell(RECORD)

    assert told == [RECORD] * 3
    assert [record.message for record in caplog.records] == ["an observer failed; its further errors are not logged"]
