"""MQTT through a real broker."""

from __future__ import annotations

import os
import queue
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from gateway.channels import DELIVERED, Message, build

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if MOSQUITTO is None:
        if os.environ.get("CI"):
            pytest.fail("mosquitto is not installed")
        pytest.skip("mosquitto is not installed")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = tmp_path_factory.mktemp("mqtt") / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen([MOSQUITTO, "-c", str(settings)], stderr=subprocess.DEVNULL)
    _wait_until_open(port)
    yield port
    process.terminate()
    process.wait(5)


def _wait_until_open(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "the broker did not start"
            time.sleep(0.02)


@pytest.fixture
def heard(broker: int) -> Iterator[queue.Queue[str]]:
    arrived: queue.Queue[str] = queue.Queue()
    subscribed: queue.Queue[bool] = queue.Queue()
    listener = mqtt.Client(CallbackAPIVersion.VERSION2)
    listener.on_message = lambda client, data, message: arrived.put(message.payload.decode())
    listener.on_subscribe = lambda *_: subscribed.put(True)
    listener.connect("127.0.0.1", broker)
    listener.subscribe("alerts/etl", qos=1)
    listener.loop_start()
    assert subscribed.get(timeout=5)
    yield arrived
    listener.disconnect()
    listener.loop_stop()


def test_messages_reach_a_subscriber_without_waiting_for_the_library_s_poll(
    broker: int, heard: queue.Queue[str]
) -> None:
    channel = build("bus", f"mqtt://127.0.0.1:{broker}/alerts/etl?qos=1")

    started = time.monotonic()
    for number in range(10):
        assert channel.send(Message(f"message {number}", "load"), 5) == DELIVERED
    took = time.monotonic() - started
    channel.close()

    assert [heard.get(timeout=5).split()[-1] for _ in range(10)] == [str(number) for number in range(10)]
    assert took < 1.5


def test_closing_ends_the_network_thread_and_may_be_repeated(broker: int) -> None:
    channel = build("bus", f"mqtt://127.0.0.1:{broker}/alerts/etl")
    assert channel.send(Message("hello"), 5) == DELIVERED

    channel.close()
    channel.close()

    assert channel.width == 1
    assert not [thread for thread in threading.enumerate() if "paho" in thread.name]


def test_without_a_broker_it_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    channel = build("bus", f"mqtt://127.0.0.1:{port}/alerts/etl")

    outcome = channel.send(Message("hello"), 2)
    channel.close()

    assert (outcome.kind, outcome.reason) == ("temporary", "refused")
