"""run: a gateway kept open, edited while it runs, and ended by a signal; and what a killed script owes."""

from __future__ import annotations

import signal
import time

import pytest

from gateway.testing import HttpSink, answer, hang

SECONDS = 15.0

CONFIG = """
[server]
listen = "127.0.0.1:0"
[channel.hook]
url = "json://{address}/tell"
retry = {{ first = "100ms" }}
[[handler]]
name = "failed"
when = "{when}"
to = "hook"
message = "{message}"
"""

GRACE = 5
KILLED = """
import os, signal
from gateway import Flow, Gateway, signals, task

gateway = Gateway("config", watch=False)

@task(state_handlers=[gateway])
def load():
    raise signals.FAIL("the table is gone")

with Flow("etl") as flow:
    load()
flow.run()
os.kill(os.getpid(), signal.SIGKILL)
"""


def config(sink: HttpSink, message: str = "{{ state.message }}", when: str = "state is failed") -> str:
    return CONFIG.format(address=sink.address, message=message, when=when)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_it_says_what_is_loaded_and_ends_cleanly_on_a_signal(start, declare, sink, how) -> None:
    declare(config(sink))

    running = start()

    assert running.end(how) == 0
    assert "gateway: 1 handler, 1 channel from config" in running.said
    assert "Channels: hook (json)" in running.said
    assert running.said.endswith("Ended. Nothing is owed.\n")
    assert "Traceback" not in running.said


def test_edits_are_told_in_words_and_bad_ones_with_their_line(start, declare, sink) -> None:
    declare(config(sink))
    running = start()

    declare(config(sink, message="new"))
    running.says("handler 'failed': message changed")
    declare(config(sink, when="state is faild"))
    running.says("edit refused, the last good configuration stays:")
    running.says("config/gateway.toml:9:")
    running.says('    9 | when = "state is faild"')
    declare(config(sink, message="newer"))
    running.says("reloaded in ")

    assert running.end() == 0
    assert running.said.count("unknown test 'faild'") == 1


def test_a_configuration_with_errors_does_not_start(gateway, declare, sink) -> None:
    declare(config(sink, when="state is faild"))

    ended = gateway("run")

    assert ended.returncode == 1
    assert "config/gateway.toml:9:" in ended.stderr
    assert '    9 | when = "state is faild"' in ended.stderr


def test_what_a_killed_script_owes_is_delivered_once_at_the_next_start(start, script, declare, sink) -> None:
    sink.behaviour = answer(503)
    declare(config(sink))
    killed = script(KILLED)
    sink.behaviour = answer(200)
    refused = len(sink.received)

    running = start()
    delivered = sink.wait_for(refused + 1, SECONDS)[refused:]

    assert killed.returncode == -signal.SIGKILL
    assert running.end() == 0
    assert [request.json()["message"] for request in delivered] == ["the table is gone"]
    assert running.said.endswith("Ended. Nothing is owed.\n")


def test_what_cannot_be_delivered_in_time_stays_owed_and_is_said(start, script, gateway, declare, sink) -> None:
    sink.behaviour = answer(503, headers={"Retry-After": "600"})
    declare(config(sink))
    script(KILLED)
    running = start()
    sink.wait_for(1, SECONDS)

    began = time.monotonic()
    assert running.end() == 0

    assert time.monotonic() - began < GRACE + 5
    assert running.said.endswith("Ended. 1 delivery stays owed until the next start.\n")
    assert gateway("deliveries").stdout.endswith("1 owed\n")


def test_the_grace_time_holds_with_an_attempt_in_progress(start, script, declare, sink) -> None:
    sink.behaviour = hang
    declare(config(sink))
    script(KILLED)
    running = start()
    sink.wait_for(1, SECONDS)

    began = time.monotonic()
    assert running.end() == 0

    assert time.monotonic() - began < GRACE + 2
    assert running.said.endswith("Ended. 1 delivery stays owed until the next start.\n")
