"""Several processes on one store: killed, forked, writing at the same time. Nothing is lost, nothing is damaged."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from gateway.store import schema
from gateway.store.ledger import OWED
from gateway.store.locks import LockFile
from gateway.store.opening import open_reader, open_store
from gateway.store.rows import DeliveryFilter
from gateway.testing.builders import MOMENT, acceptance, new_delivery
from gateway.testing.channel import ScriptedChannel

SHORT_TTL = timedelta(seconds=1)
Until = Callable[[Callable[[], object]], None]
REPEATS = 2 + 2
"""What may be sent twice for each death or stop: two in progress, and two outcomes on their way to the disk."""

ON_A_FILE = pytest.mark.parametrize("any_url", ["sqlite"], indirect=True)
ON_A_SERVER = pytest.mark.parametrize("any_url", ["postgresql"], indirect=True)

WORKER = """
import json, sys, time
from datetime import timedelta
from pathlib import Path
from gateway.channels.base import DELIVERED
from gateway.config.rate import Rate
from gateway.delivery.dispatcher import Dispatcher
from gateway.delivery.lane import ChannelRuntime
from gateway.delivery.outbox import Outbox
from gateway.store.opening import open_store
from gateway.testing.builders import notification, transition

url, told, name, number, how = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]

class Telling:
    # appends every message to a file, which survives the process as a real service would
    name, format, width = "oncall", "text", 2
    def send(self, message, timeout):
        if how == "hangs":
            time.sleep(600)
        if how == "slow":
            time.sleep(0.05)
        with told.open("a") as file:
            file.write(json.dumps([message.idempotency_key, message.body, time.monotonic()]) + "\\n")
        return DELIVERED
    def close(self):
        pass

store = open_store(url, node_ttl=timedelta(seconds=1))
rate = Rate(10, timedelta(seconds=1)) if how == "rated" else None
dispatcher = Dispatcher(store, {"oncall": ChannelRuntime(Telling(), rate=rate)})
outbox = Outbox(store, has_room=dispatcher.has_room)
dispatcher.start()
for n in range(number):
    accepted = outbox.accept(transition(id=f"{name}-{n}"), [notification(body=f"{name}-{n}")])
    print(f"{name}-{n}", flush=True)
    dispatcher.hand_over(accepted.claimed)
dispatcher.drain(30)
dispatcher.close()
store.close()
"""


class Worker:
    """A gateway process; what it printed was accepted."""

    def __init__(self, url: str, told: Path, name: str, number: int, how: str = "") -> None:
        command = [sys.executable, "-c", WORKER, url, str(told), name, str(number), how]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def stop_between_transactions(self, url: str) -> None:
        """Stop the process. One stopped inside a transaction on a file would hold up the others until it goes on."""
        if not url.startswith("sqlite:///"):
            self.process.send_signal(signal.SIGSTOP)
            return
        write_lock = LockFile(Path(url.removeprefix("sqlite:///") + ".lock"))
        self.process.send_signal(signal.SIGSTOP)
        while not write_lock.try_take():
            self.process.send_signal(signal.SIGCONT)
            time.sleep(0.003)
            self.process.send_signal(signal.SIGSTOP)
            time.sleep(0.003)
        write_lock.close()

    def kill_after(self, lines: int) -> list[str]:
        assert self.process.stdout is not None
        acknowledged = [self.process.stdout.readline().strip() for _ in range(lines)]
        self.process.send_signal(signal.SIGKILL)
        rest, _ = self.process.communicate()
        return [line for line in acknowledged + rest.split("\n") if line]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def finish(self) -> list[str]:
        printed, _ = self.process.communicate(timeout=50)
        assert self.process.returncode == 0
        return printed.split()


@pytest.fixture
def start(url: str, told: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers on the store; ends those that still run."""
    workers: list[Worker] = []

    def start(name: str, number: int, how: str = "") -> Worker:
        workers.append(Worker(url, told, name, number, how))
        return workers[-1]

    yield start
    for worker in workers:
        worker.end()


@pytest.fixture
def told(tmp_path: Path) -> Path:
    path = tmp_path / "told.jsonl"
    path.touch()
    return path


def messages(told: Path) -> list[tuple[str, str]]:
    return [(key, body) for key, body, _ in map(json.loads, told.read_text().splitlines())]


def check_books(url: str) -> None:
    """The ledger says what the rows say, every claim has an owner, and a file is sound."""
    reader = open_reader(url)
    counted = reader.ask(counts)
    lines = reader.ledger()
    owners = {one.owner for one in reader.deliveries(DeliveryFilter(status="claimed"), limit=10_000)}
    assert owners <= {node.id for node in reader.nodes()}
    reader.close()
    assert all(line.balances for line in lines)
    assert counted == {
        (line.channel, status): n
        for line in lines
        for status in ("delivered", "dead", "owed", "cancelled", "suppressed")
        if (n := getattr(line, status))
    }
    if url.startswith("sqlite:///"):
        check_file(url)


def counts(connection: Connection) -> dict[tuple[str, str], int]:
    table, found = schema.delivery.c, Counter[tuple[str, str]]()
    for channel, status in connection.execute(select(table.channel, table.status)):
        found[channel, "owed" if status in OWED else status] += 1
    return dict(found)


def check_file(url: str) -> None:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


@ON_A_FILE
def test_what_a_killed_process_had_accepted_is_delivered_by_the_next_at_once(
    url: str, start: Callable[..., Worker], open_desk: Any
) -> None:
    acknowledged = start("a", 1000, "hangs").kill_after(40)
    oncall = ScriptedChannel()
    began = time.monotonic()

    desk = open_desk(oncall)

    assert desk.dispatcher.drain(20) == 0
    assert time.monotonic() - began < 8, "the dead node's claims should not have to wait for a heartbeat"
    delivered = {message.body for message in oncall.delivered}
    assert set(acknowledged) <= delivered
    ledger = desk.ledger()
    assert ledger.accepted == ledger.delivered == len(delivered) == desk.store.counters()["transitions"]
    check_books(url)


def test_a_kill_while_sending_repeats_no_more_than_was_in_progress(
    url: str, told: Path, start: Callable[..., Worker], open_desk: Any, until: Until
) -> None:
    kills, acknowledged = 4, []
    for kill in range(kills):
        acknowledged += start(f"k{kill}", 1000).kill_after(30 + 20 * kill)
    oncall = ScriptedChannel()
    desk = open_desk(oncall, node_ttl=SHORT_TTL)
    until(lambda: desk.store.owed() == 0)

    times = Counter([body for _, body in messages(told)] + [message.body for message in oncall.delivered])

    assert set(acknowledged) <= set(times)
    assert sum(n - 1 for n in times.values()) <= kills * REPEATS
    assert desk.ledger().delivered == len(times)
    check_books(url)


def test_processes_that_write_at_the_same_time_lose_nothing_and_tell_nothing_twice(
    url: str, told: Path, start: Callable[..., Worker]
) -> None:
    workers = [start(name, 60) for name in ("a", "b", "c")]
    acknowledged = [line for worker in workers for line in worker.finish()]

    store = open_store(url)
    times = Counter(body for _, body in messages(told))

    assert len(acknowledged) == 180
    assert times == Counter(acknowledged)
    assert store.ledger()[0].delivered == 180
    store.close()
    check_books(url)


def test_a_living_process_takes_over_what_a_killed_one_held(
    url: str, start: Callable[..., Worker], open_desk: Any, until: Until
) -> None:
    killed = start("a", 1000, "hangs")
    oncall = ScriptedChannel()
    open_desk(oncall, node_ttl=SHORT_TTL)

    acknowledged = killed.kill_after(20)

    until(lambda: set(acknowledged) <= {message.body for message in oncall.delivered})
    check_books(url)


def test_a_stopped_process_loses_its_claims_and_sends_them_no_more_when_it_goes_on(
    url: str, told: Path, start: Callable[..., Worker], open_desk: Any, until: Until
) -> None:
    stopped = start("a", 150, "slow")
    oncall = ScriptedChannel()
    desk = open_desk(oncall, node_ttl=SHORT_TTL)
    until(lambda: len(messages(told)) > 20)
    stopped.stop_between_transactions(url)
    until(lambda: desk.store.owed() == 0 and oncall.delivered)
    stopped.process.send_signal(signal.SIGCONT)

    acknowledged = stopped.finish()

    times = Counter([body for _, body in messages(told)] + [message.body for message in oncall.delivered])
    assert set(times) == set(acknowledged)
    assert sum(n - 1 for n in times.values()) <= REPEATS
    assert desk.ledger().delivered == 150
    check_books(url)


@ON_A_SERVER
def test_a_rate_is_kept_by_all_processes_together(url: str, told: Path, start: Callable[..., Worker]) -> None:
    workers = [start(name, 12, "rated") for name in ("a", "b", "c")]
    acknowledged = [line for worker in workers for line in worker.finish()]

    sent = sorted(at for _, _, at in map(json.loads, told.read_text().splitlines()))

    assert len(sent) == len(acknowledged) == 36
    # A moment passes between a slot and the line in the file, so the stretch looked at is a little shorter.
    assert max(sum(at <= other < at + 0.9 for other in sent) for at in sent) <= 10
    check_books(url)


# forks


@pytest.fixture
def in_child() -> Iterator[Callable[[Callable[[], object]], int]]:
    """Runs something in a forked child and gives its exit code."""

    def run(work: Callable[[], object]) -> int:
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)  # a child that hangs must not outlive the test
            code = 1
            try:
                work()
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)

    yield run


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_opens_the_store_for_itself(url: str, in_child: Callable[..., int]) -> None:
    store = open_store(url)
    before = store.node
    store.accept(acceptance(new_delivery(claimed=True))).result()

    def work() -> None:
        assert store.node != before
        store.accept(acceptance(new_delivery("child"))).result(10)
        assert store.claim("oncall", 9, MOMENT).result(10) == ()

    assert in_child(work) == 0
    assert "child" in store.next_due()
    assert store.node == before
    store.close()
    check_books(url)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_sends_its_own_and_leaves_its_parents_alone(
    url: str, open_desk: Any, until: Until, in_child: Callable[..., int]
) -> None:
    oncall = ScriptedChannel(width=1)
    oncall.gate.clear()
    desk = open_desk(oncall)
    mine = desk.tell(body="parent's")
    until(lambda: oncall.attempts)

    def work() -> None:
        oncall.attempts.clear()
        oncall.gate.set()
        theirs = desk.tell(body="child's")
        until(lambda: desk.status(theirs) == "delivered")
        assert [message.body for message in oncall.attempts] == ["child's"]

    assert in_child(work) == 0
    oncall.gate.set()
    until(lambda: desk.status(mine) == "delivered")
    assert [message.body for message in oncall.attempts] == ["parent's"]
    check_books(url)


@ON_A_FILE
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_an_idle_child_keeps_none_of_its_dead_parents_locks(url: str, told: Path) -> None:
    script = (
        "import os, sys, time\n"
        "from gateway.store.opening import open_store\n"
        f"store = open_store({url!r})\n"
        "if os.fork() == 0:\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(600)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-W", "ignore", "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    try:
        store = open_store(url)

        assert [node.pid for node in store.nodes()] == [os.getpid()]
        store.close()
    finally:
        os.kill(child, signal.SIGKILL)
        parent.stdout.close()


# a full disk

FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from gateway.errors import StoreFullError
from gateway.store.opening import open_store
from gateway.testing.builders import acceptance, new_delivery
store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
accepted = 0
try:
    while True:
        store.accept(acceptance(new_delivery(body="x" * 5000), id=f"t-{accepted}")).result(20)
        accepted += 1
except StoreFullError:
    pass
assert store.owed() == accepted, "reading goes on"
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.accept(acceptance(new_delivery(), id="after")).result(20)
print(accepted + 1)
store.close()
"""


@ON_A_FILE
def test_a_full_disk_refuses_clearly_and_keeps_what_it_had(url: str) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, url], capture_output=True, text=True, timeout=50, check=True)

    store = open_store(url)

    assert store.owed() == int(done.stdout) > 3
    assert store.ledger()[0].balances
    store.close()
    check_books(url)
