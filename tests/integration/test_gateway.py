"""A gateway in a process: attached to tasks and flows, from a TOML file to the recorded message."""

from __future__ import annotations

import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

import gateway.app
from gateway import (
    ConfigError,
    DeliveryError,
    Flow,
    Gateway,
    GatewayError,
    Task,
    callback_factory,
    signals,
    states,
    task,
)
from gateway.errors import StoreClosedError, StoreError
from gateway.store.rows import DeliveryFilter

RETRYING = """
[[handler]]
name    = "retrying"
on      = "task"
when    = "state is retrying and old_state is failed"
to      = ["box"]
title   = "{{ task.name }} is retrying"
message = "{{ old_state.message }}"
"""


def flaky(failures: int, handler: Any, max_retries: int = 2) -> Flow:
    left = [failures]

    @task(max_retries=max_retries, retry_delay=timedelta(milliseconds=10), state_handlers=[handler])
    def load() -> str:
        if left[0]:
            left[0] -= 1
            raise ValueError("no route to the warehouse")
        return "loaded"

    with Flow("etl") as flow:
        load()
    return flow


def statuses(gateway: Gateway) -> list[tuple[str, str]]:
    return [(row.handler, row.status) for row in gateway.store.deliveries(DeliveryFilter())]


def test_a_retry_is_told_with_the_error_of_the_failure_before_it(write, opened, sent) -> None:
    gw = opened(write(RETRYING))

    flaky(1, gw).run()
    gw.drain()

    assert [(m.title, m.body) for m in sent.messages] == [
        ("load is retrying", "Error during execution of task: ValueError('no route to the warehouse')")
    ]


def test_only_the_last_failure_is_final(write, opened, sent) -> None:
    gw = opened(write('[[handler]]\nname = "final"\nwhen = "state is failed and state is final"\nto = "box"\n'))

    flaky(9, gw, max_retries=2).run()
    gw.drain()

    assert len(sent.messages) == 1


def test_a_failure_tells_the_data_its_signal_carries(write, opened, sent) -> None:
    gw = opened(
        write(
            '[[handler]]\nname = "rows"\nwhen = "state is failed and state.result.rows"\nto = "box"\n'
            'message = "{{ state.result.rows }} rows"\n'
        )
    )

    @task(state_handlers=[gw])
    def check() -> None:
        failure = signals.FAIL("too many rejected")
        failure.rows = 17
        raise failure

    with Flow("etl") as flow:
        check()
    flow.run()
    gw.drain()

    assert [m.body for m in sent.messages] == ["17 rows"]


def test_a_handler_by_name_fires_for_its_own_transitions_only(write, opened, sent) -> None:
    gw = opened(write(RETRYING + '[[handler]]\nname = "all"\nto = "box"\nmessage = "anything"\n'))

    flaky(1, gw.handler("retrying")).run()
    gw.drain()

    assert [m.title for m in sent.messages] == ["load is retrying"]


def test_an_unknown_handler_name_is_an_error_with_a_suggestion(write, opened) -> None:
    gw = opened(write(RETRYING))

    with pytest.raises(GatewayError, match="did you mean 'retrying'"):
        gw.handler("retryng")


def test_a_notifier_mixes_with_a_plain_check(write, opened, sent) -> None:
    gw = opened(write(RETRYING))
    tell = callback_factory(gw.notifier("box", message="{{ task.name }} again"), lambda s: s.is_retrying())

    flaky(1, tell).run()
    gw.drain()

    assert [m.body for m in sent.messages] == ["load again"]


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ({"channel": "bx"}, "there is no channel 'bx' \\(did you mean 'box'\\?\\)"),
        ({"channel": "box", "message": "{{ task.nam }}"}, "has no attribute 'nam' \\(did you mean 'name'\\?\\)"),
        ({"channel": "box", "template": "none.md.j2"}, "there is no template of this name"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_wrong_notifier_is_refused_when_it_is_made(write, opened, arguments, wrong) -> None:
    gw = opened(write(RETRYING))

    with pytest.raises(ConfigError, match=wrong):
        gw.notifier(**arguments)


def test_a_failing_required_handler_fails_the_task(write, opened) -> None:
    gw = opened(
        write(
            '[[handler]]\nname = "must"\non = "task"\nwhen = "state is successful"\nto = "down"\nrequired = true\n',
            '[channel.down]\nurl = "record://down?fail=100&outcome=permanent"\n',
        )
    )
    work = Task(name="work", state_handlers=[gw])

    state = Flow("etl", tasks=[work]).run()

    assert state.is_failed()
    assert isinstance(state.result[work].result, DeliveryError)
    assert statuses(gw) == [("must", "dead")]


def test_a_required_handler_has_delivered_when_the_transition_is_over(write, opened, sent) -> None:
    gw = opened(write('[[handler]]\nname = "must"\nto = "box"\nrequired = true\nmessage = "now"\n'))

    gw(Task(name="work"), states.Pending(), states.Running())

    assert [m.body for m in sent.messages] == ["now"]


def test_a_failing_channel_never_fails_the_flow(write, opened) -> None:
    gw = opened(
        write(
            '[[handler]]\nname = "may"\nto = "down"\n',
            '[channel.down]\nurl = "record://gone?fail=99&outcome=permanent"\n',
        ),
        drain_seconds=1,
    )

    assert Flow("etl", tasks=[Task(state_handlers=[gw])], state_handlers=[gw]).run().is_successful()


def test_a_template_that_fails_sends_a_plain_message_with_the_error(write, opened, sent) -> None:
    gw = opened(write('[[handler]]\nname = "odd"\nto = "box"\nmessage = "{{ state.result.nothing.there }}"\n'))

    gw(Task(name="work"), states.Running(), states.Failed("boom", result={"a": 1}))
    gw.drain()

    assert len(sent.messages) == 1
    assert "odd" in sent.messages[0].body
    assert "boom" in sent.messages[0].body


def test_a_shadow_handler_is_recorded_and_not_sent(write, opened, sent) -> None:
    gw = opened(write('[[handler]]\nname = "quiet"\nto = "box"\nmode = "shadow"\n'))

    gw(Task(name="work"), states.Pending(), states.Running())
    gw.drain()

    assert sent.messages == []
    assert statuses(gw) == [("quiet", "suppressed")]


def test_stop_ends_the_walk_and_groups_open_up_once(write, opened, sent) -> None:
    gw = opened(
        write(
            '[[handler]]\nname = "first"\nto = ["all", "box"]\nstop = true\n[[handler]]\nname = "second"\nto = "box"\n',
            '[channel.all]\nall = ["box"]\n',
        )
    )

    handled = gw.handle(gateway.app.observe(Task(name="work"), states.Pending(), states.Running()))
    gw.drain()

    assert handled.handlers == ("first",)
    assert len(sent.messages) == 1


def test_a_check_that_raises_does_not_match_and_stops_nobody(write, opened, sent) -> None:
    gw = opened(
        write(
            '[[handler]]\nname = "raises"\nwhen = "state.result.a > 3"\nto = "box"\n'
            '[[handler]]\nname = "good"\nto = "box"\nmessage = "good"\n'
        )
    )

    handled = gw.handle(gateway.app.observe(Task(), states.Running(), states.Success(result={"a": "text"})))
    gw.drain()

    assert handled.handlers == ("good",)
    assert [name for name, _ in handled.errors] == ["raises"]
    assert [m.body for m in sent.messages] == ["good"]


def of_gateway(gw: Gateway) -> Any:
    return gw


def of_handler(gw: Gateway) -> Any:
    return gw.handler("retrying")


def of_notifier(gw: Gateway) -> Any:
    return callback_factory(gw.notifier("box", title="{{ task.name }} is retrying"), states.State.is_retrying)


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
@pytest.mark.parametrize("attach", [of_gateway, of_handler, of_notifier], ids=lambda function: function.__name__)
def test_what_is_attached_survives_pickling(write, opened, sent, dumps, attach) -> None:
    copy = pickle.loads(dumps(attach(opened(write(RETRYING)))))
    twin = copy if isinstance(copy, Gateway) else copy.fn.gateway

    flaky(1, copy).run()
    twin.close()

    assert [message.title for message in sent.messages] == ["load is retrying"]


def test_two_pickles_share_one_gateway_in_the_process_they_arrive_in(write, opened) -> None:
    gw = opened(write(RETRYING))

    one, other = (pickle.loads(pickle.dumps(gw)) for _ in range(2))
    one.close()

    assert one is other
    assert one is not gw


def test_a_pickle_holds_no_secret(write, opened, monkeypatch) -> None:
    monkeypatch.setenv("BOX_URL", "record://hidden-bucket")
    gw = opened(write('[[handler]]\nname = "a"\nto = "own"\n', '[channel.own]\nurl = { env = "BOX_URL" }\n'))

    assert b"hidden-bucket" not in cloudpickle.dumps(gw)


SCRIPT = """
import os, signal, sys
from gateway import Gateway, Task, states
gateway = Gateway(sys.argv[1], watch=False)
gateway(Task(name="work"), states.Running(), states.Failed("boom"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_owes_goes_out_at_the_next_start(write, opened, sent, bucket) -> None:
    config = write('[[handler]]\nname = "failed"\nwhen = "state is failed"\nto = "box"\n')
    channels = config / "channels.toml"
    channels.write_text('[channel.box]\nurl = "record://slow?delay=30"\n')

    ended = subprocess.run([sys.executable, "-c", SCRIPT, str(config)], check=False, env={**os.environ})
    channels.write_text(f'[channel.box]\nurl = "record://{bucket}"\n')
    gw = opened(config)
    gw.drain()

    assert ended.returncode == -signal.SIGKILL
    assert len(sent.messages) == 1
    assert statuses(gw) == [("failed", "delivered")]


def test_the_end_of_a_process_sends_what_is_due(write, tmp_path: Path) -> None:
    config = write(
        '[[handler]]\nname = "failed"\nwhen = "state is failed"\nto = ["screen", "box"]\n',
        '[channel.screen]\nurl = "console://"\n',
    )
    script = textwrap.dedent("""
        import sys
        from gateway import Flow, Gateway, Task, states
        gateway = Gateway(sys.argv[1])
        gateway(Task(name="work"), states.Running(), states.Failed("boom"))
    """)

    ended = subprocess.run([sys.executable, "-c", script, str(config)], capture_output=True, text=True, check=True)

    assert "work" in ended.stdout
    assert ended.stderr == ""


def test_a_forked_child_keeps_a_store_of_its_own(write, opened, sent) -> None:
    gw = opened(write('[[handler]]\nname = "failed"\nwhen = "state is failed"\nto = "box"\n'))
    gw(Task(name="parent"), states.Running(), states.Failed("boom"))

    child = os.fork()
    if child == 0:
        gw(Task(name="child"), states.Running(), states.Failed("boom"))
        os._exit(0)
    os.waitpid(child, 0)

    names = {gw.store.history(row.id).transition.obj_name for row in gw.store.deliveries(DeliveryFilter())}
    assert names == {"parent", "child"}


def test_problems_of_all_kinds_are_told_together(write) -> None:
    config = write(
        '[[handler]]\nname = "a"\nwhen = "state is faild"\nto = "bx"\nmessage = "{{ tsk.name }}"\n',
        '[channel.bad]\nurl = "slak://x"\n[channel.lost]\nurl = { env = "NOT_SET_ANYWHERE" }\n',
    )

    with pytest.raises(ConfigError) as raised:
        Gateway(config)

    told = str(raised.value)
    for part in ("faild", "'box'", "tsk", "slak", "NOT_SET_ANYWHERE"):
        assert part in told


class Hostile(Exception):
    """Raises when it is asked for its name or to be printed, and so does what it raises."""

    @property
    def name(self) -> str:
        raise Hostile

    def __str__(self) -> str:
        raise Hostile

    __repr__ = __str__


@pytest.mark.parametrize("attach", [of_gateway, of_handler], ids=lambda function: function.__name__)
def test_an_object_that_raises_whatever_is_asked_fails_no_flow_and_is_told(write, opened, sent, attach) -> None:
    gw = opened(write('[[handler]]\nname = "retrying"\nto = "box"\nmessage = "{{ state.result.why }}"\n'))
    new = states.Failed(Hostile(), {"why": Hostile()}).replace(name=Hostile())

    assert attach(gw)(Hostile(), states.Running(), new) is new
    gw.drain()

    assert len(sent.messages) == 1


def test_a_transition_that_cannot_be_looked_at_fails_no_flow(write, opened, caplog) -> None:
    gw = opened(write(RETRYING))
    broken = states.Failed("m")
    del broken.final

    assert gw(Hostile(), states.Running(), broken) is broken
    assert "could not be handled" in caplog.text


def test_after_the_end_a_transition_is_said_to_be_lost_and_fails_no_flow(write, opened, caplog) -> None:
    gw = opened(write('[[handler]]\nname = "all"\nto = "box"\n'))
    gw.close()

    gw(Task(name="late"), states.Running(), states.Failed("m"))

    assert "lost: the gateway is closed" in caplog.text


FULL_DISK = """
import resource, signal, sys
from gateway import DeliveryError, Gateway, Task, states
from gateway.channels import recording
gateway = Gateway(sys.argv[1], watch=False)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
free = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, free[1]))
try:
    gateway(Task(name="work"), states.Running(), states.Failed("boom"))
except DeliveryError:
    print("refused")
resource.setrlimit(resource.RLIMIT_FSIZE, free)
gateway.close()
print([message.body for message in recording(sys.argv[2]).messages])
"""


def test_a_required_message_that_a_full_disk_refuses_does_not_take_the_others_down(write, bucket) -> None:
    config = write(
        '[[handler]]\nname = "must"\nrequired = true\nto = "box"\nmessage = "must"\n'
        '[[handler]]\nname = "may"\nto = "box"\nmessage = "may"\n'
    )

    ended = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(config), bucket], capture_output=True, text=True, check=True
    )

    assert ended.stdout.splitlines() == ["refused", "['may']"]


def test_a_store_that_is_held_up_holds_up_no_flow(write, opened, sent, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(gateway.app, "PATIENCE_SECONDS", 0.1)
    gw = opened(write('[[handler]]\nname = "failed"\nwhen = "state is failed"\nto = "box"\n'))
    other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    began = time.monotonic()
    gw(Task(name="work"), states.Running(), states.Failed("boom"))
    waited = time.monotonic() - began
    other.execute("ROLLBACK")
    other.close()
    gw.close()

    assert waited < 2
    assert len(sent.messages) == 1


def test_a_required_message_that_went_out_holds_up_no_flow_while_the_store_is_held_up(
    write, opened, sent, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("gateway.delivery.dispatcher.LONGEST_RECORD", 0.2)
    handler = '[[handler]]\nname = "failed"\nwhen = "state is failed"\nto = "box"\nrequired = true\n'
    gw = opened(write(handler), watch=False)
    other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None, check_same_thread=False)
    keep, channel = sent.messages.append, sent.messages

    class Holding(list):  # type: ignore[type-arg]
        """Once the message is out, somebody holds up the store."""

        def append(self, message: object) -> None:
            keep(message)
            other.execute("BEGIN IMMEDIATE")

    sent.messages = Holding(channel)
    gw(Task(name="work"), states.Running(), states.Failed("boom"))
    other.execute("ROLLBACK")
    other.close()
    gw.close()

    assert len(channel) == 1


def test_a_store_that_cannot_be_read_at_the_end_is_closed_all_the_same(write, opened, tmp_path, caplog) -> None:
    gw = opened(write(RETRYING), watch=False)
    gw.store.refuse([]).result()  # something was written, so that both files are there
    for name in ("gateway.db", "gateway.db-wal"):
        (tmp_path / name).write_bytes(os.urandom((tmp_path / name).stat().st_size))
    with pytest.raises(StoreError):
        gw.store.ledger()

    gw.close()

    with pytest.raises(StoreClosedError):
        gw.store.ledger()
    assert "what is due could not be asked for at the end" in caplog.text


def test_a_store_that_stays_away_is_told_once_and_so_is_its_return(write, opened, caplog, monkeypatch, until) -> None:
    gateway = opened(write(""))
    looked: list[None] = []

    def refuse() -> float:
        looked.append(None)
        raise StoreError("it is away")

    with monkeypatch.context() as away:
        away.setattr(gateway._dispatcher, "_look", refuse)
        for number in range(1, 4):
            gateway._dispatcher.look()
            until(lambda number=number: len(looked) >= number)
    gateway._dispatcher.look()
    until(lambda: "looked for again" in caplog.text)

    assert [record.message for record in caplog.records if record.name == "gateway.delivery"] == [
        "could not look for due deliveries",
        "due deliveries are looked for again",
    ]
