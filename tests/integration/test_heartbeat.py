"""Somebody outside hears of us while we are well, and of nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

import pytest

from gateway.channels.transport import Transport
from gateway.compile import Pulse
from gateway.delivery.observers import Beaten, Observers
from gateway.heartbeat import Heartbeat
from gateway.testing.http_sink import HttpSink, answer, hang, reset

TOLD = '[[handler]]\nname = "told"\nto = "box"\n'
TOKEN = "5ecret-t0ken"


@pytest.fixture
def beating() -> Callable[..., tuple[Heartbeat, list[object]]]:
    def made(url: str, well: Callable[[], bool] = lambda: True, every: float = 60.0):
        told: list[object] = []
        observers = Observers()
        observers.add(told.append)
        return Heartbeat(lambda: Pulse(url, timedelta(seconds=every)), well, observers, Transport()), told

    return made


def results(told: list[object]) -> list[str]:
    return [record.result for record in told if isinstance(record, Beaten)]


def test_a_gateway_calls_at_once_and_again_and_again(write, opened) -> None:
    with HttpSink() as sink:
        opened(write(f'[gateway]\nheartbeat = "{sink.url}/{TOKEN}"\nheartbeat_every = "20ms"\n{TOLD}'), watch=False)

        received = sink.wait_for(3)

    assert {(request.method, request.path) for request in received} == {("GET", f"/{TOKEN}")}


def test_the_heartbeat_follows_edits(write, opened, until) -> None:
    with HttpSink() as first, HttpSink() as second:
        gateway = opened(write(TOLD), watch=False)

        write(f'[gateway]\nheartbeat = "{first.url}/a"\nheartbeat_every = "1h"\n{TOLD}')
        gateway.reload()
        first.wait_for(1)
        write(f'[gateway]\nheartbeat = "{second.url}/b"\nheartbeat_every = "1h"\n{TOLD}')
        gateway.reload()
        second.wait_for(1)
        write(TOLD)
        gateway.reload()

        assert len(first.received) == len(second.received) == 1


def test_it_is_withheld_while_the_gateway_is_not_well(beating) -> None:
    well = [False]
    with HttpSink() as sink:
        heartbeat, told = beating(sink.url, lambda: well[0])

        heartbeat.beat()
        assert sink.received == []
        well[0] = True
        heartbeat.beat()

        assert len(sink.received) == 1
    assert results(told) == ["withheld", "sent"]


def test_a_closed_gateway_is_not_well(write, opened) -> None:
    gateway = opened(write(TOLD), watch=False)
    assert gateway.is_well()

    gateway.close()

    assert not gateway.is_well()


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [(answer(500), "http_500"), (answer(301), "http_301"), (reset, "ConnectionError"), (hang(), "ReadTimeout")],
    ids=["an error", "elsewhere", "reset", "no answer"],
)
def test_a_call_that_fails_is_counted_logged_once_and_shows_no_address(beating, caplog, behaviour, reason) -> None:
    with HttpSink(behaviour) as sink, caplog.at_level(logging.DEBUG):
        heartbeat, told = beating(f"{sink.url}/{TOKEN}", every=0.2)

        for _ in range(2):
            heartbeat.beat()

    assert results(told) == ["failed", "failed"]
    logged = [record for record in caplog.records if record.name == "gateway.heartbeat"]
    assert [(record.message, record.reason) for record in logged] == [("the heartbeat could not be sent", reason)]
    assert TOKEN not in caplog.text
    assert TOKEN not in str([vars(record) for record in caplog.records])


def test_when_it_gets_through_again_that_is_logged(beating, caplog) -> None:
    with HttpSink() as sink, caplog.at_level(logging.WARNING, "gateway.heartbeat"):
        heartbeat, _ = beating(sink.url)
        sink.plan(answer(503))

        for _ in range(3):
            heartbeat.beat()

    assert [record.message for record in caplog.records if record.name == "gateway.heartbeat"] == [
        "the heartbeat could not be sent",
        "the heartbeat is sent again",
    ]


def test_a_pulse_shows_no_address() -> None:
    assert TOKEN not in repr(Pulse(f"https://example.org/{TOKEN}", timedelta(minutes=1)))
