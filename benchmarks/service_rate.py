"""``gateway run`` under load: durable acknowledgements, deliveries, latency; and Alertmanager beside it.

The service has one processor, load and sink have the other. Every acknowledgement is a 202 that was
sent after the fsync. The gateway has 100 handlers, of which one matches the transitions that are to
match; what it says goes to a web server through apprise's plugin ``json://``. Alertmanager (Debian's
``prometheus-alertmanager``, where it is installed) sends to the same server, keeps nothing on the
disk, and is measured in the same rounds. PostgreSQL is measured where ``GATEWAY_BENCHMARK_POSTGRES``
holds the address of an empty database.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import ssl
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import certifi
import trustme

from benchmarks import _service as service
from benchmarks._load import Answers, Sink, closed_loop, open_loop, request, run
from benchmarks._service import Service
from benchmarks._table import Cell, show
from gateway.transition import new_id

HANDLERS, IN_FLIGHT, BATCH, BATCHES_IN_FLIGHT = 100, 64, 100, 8
SETTLE_SECONDS = 2.0
STATES = ("failed", "retrying", "successful")
ALERTMANAGER = "prometheus-alertmanager"
POSTGRES = os.environ.get("GATEWAY_BENCHMARK_POSTGRES", "")


@dataclass(frozen=True, slots=True)
class Measure:
    """One round: transitions (alerts, messages) per second, processor time of each, waits in seconds."""

    per_second: float
    microseconds: float
    waits: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where the gateway keeps and sends what it takes."""

    store: str
    channel: str
    environment: dict[str, str]


# what is sent


def transition(number: int, matches: bool) -> dict[str, object]:
    return {
        "id": new_id(),
        "obj": {
            "kind": "task",
            "name": f"mark-{number}",
            "run_id": new_id(),
            "tags": ["prod", "warehouse"],
            "parameters": {"day": "2026-03-29"},
            "flow": {"name": "etl-orders" if matches else "reports", "run_id": new_id()},
        },
        "old_state": {"type": "Running"},
        "new_state": {
            "type": "Retrying",
            "message": "no route to the warehouse",
            "start_time": "2026-03-29T01:35:00Z",
            "run_count": 2,
            "result": {"rows": 0, "flag": True},
        },
        "occurred_at": "2026-03-29T01:30:00Z",
    }


def singles(port: int, count: int, matching: int = 0) -> list[bytes]:
    """``count`` requests of one transition each; one in ``matching`` matches, 0 for none."""
    return [request(port, "/api/v1/transitions", one) for one in bodies(count, matching)]


def batches(port: int, count: int, matching: int = 0) -> list[bytes]:
    """The same in requests of ``BATCH``."""
    lines = bodies(count, matching)
    texts = (b"\n".join(lines[at : at + BATCH]) for at in range(0, count, BATCH))
    return [request(port, "/api/v1/transitions", text, "application/x-ndjson") for text in texts]


def bodies(count: int, matching: int) -> list[bytes]:
    hits = (matching > 0 and number % matching == 0 for number in range(count))
    return [json.dumps(transition(number, hit)).encode() for number, hit in enumerate(hits)]


def handlers(channel: str) -> str:
    """A configuration of ``HANDLERS`` handlers, of which one is for flows that are named ``etl-…``."""
    told = "".join(
        f'[[handler]]\nname = "team-{n}"\non = "task"\nto = "out"\n'
        f'when = \'state is {STATES[n % len(STATES)]} and flow.name == "team-{n}" and "prod" in task.tags\'\n'
        for n in range(HANDLERS - 1)
    )
    hit = (
        '[[handler]]\nname = "etl"\non = "task"\nto = "out"\n'
        'when = \'state is retrying and flow.name.startswith("etl") and "prod" in task.tags\'\n'
        'title = "{{ task.name }} is retrying"\n'
        'message = "{{ task.name }} of {{ flow.name }}: {{ state.message }}. Next try {{ state.start_time }}."\n'
    )
    return f'[channel.out]\nurl = "{channel}"\ntimeout = "5s"\n{told}{hit}'


# measuring


async def accepted(running: Service, requests: Sequence[bytes], connections: int, each: int) -> Measure:
    used = running.processor_seconds
    answers = await closed_loop(running.port, requests, connections)
    return measure(answers, len(requests) * each, running.processor_seconds - used)


def measure(answers: Answers, number: int, processor: float) -> Measure:
    if answers.refused:
        raise RuntimeError(f"not everything was taken: {answers.refused}")
    return Measure(number / answers.seconds, 1e6 * processor / number, tuple(answers.waits))


async def delivered(running: Service, sink: Sink, requests: Sequence[bytes], number: int) -> Measure:
    """From the first request until the last message has arrived."""
    before, used = sink.requests, running.processor_seconds
    answers = await closed_loop(running.port, requests, BATCHES_IN_FLIGHT)
    await sink.wait_for(before + number)
    took = sink.last_at - min(answers.sent_at.values())
    return Measure(number / took, 1e6 * (running.processor_seconds - used) / number)


async def latency(
    running: Service, sink: Sink, requests: Sequence[bytes], per_second: float
) -> tuple[Measure, Measure]:
    """At a steady pace: until the answer, and until the message has arrived."""
    sink.arrived.clear()
    before, used = sink.requests, running.processor_seconds
    answers = await open_loop(running.port, requests, per_second)
    await sink.wait_for(before + len(requests))
    acknowledged = measure(answers, len(requests), running.processor_seconds - used)
    waits = tuple(at - answers.sent_at[number] for number, at in sink.arrived.items())
    return acknowledged, Measure(acknowledged.per_second, acknowledged.microseconds, waits)


def middle(measures: Sequence[Measure]) -> Measure:
    """The medians of several rounds, with the waits of all."""
    return Measure(
        statistics.median(one.per_second for one in measures),
        statistics.median(one.microseconds for one in measures),
        tuple(wait for one in measures for wait in one.waits),
    )


def row(what: str, measures: Sequence[Measure]) -> tuple[Cell, ...]:
    found = middle(measures)
    cuts = statistics.quantiles(found.waits, n=100) if len(found.waits) > 1 else []
    return what, found.per_second, found.microseconds, *(1e3 * cuts[at] if cuts else "" for at in (49, 98))


# the rounds

Rounds = dict[str, list[Measure]]


async def measure_gateway(place: Place, sink: Sink, scale: int, found: Rounds, name: str) -> None:
    def note(what: str, one: Measure) -> None:
        found.setdefault(f"{name}: {what}", []).append(one)

    with opened(place) as running:
        port = running.port
        await closed_loop(port, singles(port, 50, 1), 8)
        await settled()
        note("accept, batch 1, 64 in flight", await accepted(running, singles(port, 20 * scale), IN_FLIGHT, 1))
        note(
            "accept, batch 100, 8 in flight",
            await accepted(running, batches(port, 100 * scale), BATCHES_IN_FLIGHT, BATCH),
        )
        note(
            "accept, batch 100, one in ten is told",
            await accepted(running, batches(port, 50 * scale, 10), BATCHES_IN_FLIGHT, BATCH),
        )
        await sink.wait_for(50 + 5 * scale)
        note("deliver", await delivered(running, sink, batches(port, 5 * scale, 1), 5 * scale))
        pace = found[f"{name}: deliver"][-1].per_second / 2
        acknowledged, arrived = await latency(running, sink, singles(port, 2 * scale, 1), pace)
        note("half load, until the answer", acknowledged)
        note("half load, until the message arrived", arrived)


async def settled() -> None:
    """Let pass what comes once: the first of its kind is dearer, apprise's plugin is loaded, the ballast is written."""
    await asyncio.sleep(SETTLE_SECONDS)


async def measure_broken(place: Place, scale: int, found: Rounds, name: str) -> None:
    """The acknowledgement while everything that is told goes to a channel that is down."""
    with opened(place) as running:
        await closed_loop(running.port, singles(running.port, 50, 1), 8)
        await settled()
        requests = singles(running.port, 10 * scale, 2)
        measured = await accepted(running, requests, IN_FLIGHT, 1)
        found.setdefault(f"{name}: accept, batch 1, half is told, the channel is down", []).append(measured)


@contextmanager
def opened(place: Place) -> Iterator[Service]:
    with tempfile.TemporaryDirectory() as folder:
        config = handlers(place.channel)
        with service.gateway(Path(folder), config, place.store, place.environment) as running:
            yield running


def secure_server(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS, and a bundle of the usual size that trusts it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    bundle = folder / "bundle.pem"
    bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    return context, bundle


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


# the other one

GROUPED = {"each alert its own group": '["..."]', "all alerts in one group": '["job"]'}


def alerts(port: int, count: int, each: int) -> list[bytes]:
    made = [
        {
            "labels": {"alertname": "retrying", "job": "etl", "task": f"mark-{number}", "run": new_id()},
            "annotations": {"summary": "no route to the warehouse"},
        }
        for number in range(count)
    ]
    groups = (made[at : at + each] for at in range(0, count, each))
    return [request(port, "/api/v2/alerts", json.dumps(group).encode()) for group in groups]


@contextmanager
def alertmanager(grouping: str, sink_port: int) -> Iterator[Service]:
    with tempfile.TemporaryDirectory() as folder:
        times = "group_wait: 0s, group_interval: 1s, repeat_interval: 24h"
        config = (
            f"route: {{receiver: out, group_by: {grouping}, {times}}}\n"
            f'receivers: [{{name: out, webhook_configs: [{{url: "http://127.0.0.1:{sink_port}/"}}]}}]\n'
        )
        (Path(folder) / "alertmanager.yml").write_text(config)
        port = service.free_port()
        command = [
            ALERTMANAGER,
            "--config.file=alertmanager.yml",
            f"--storage.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            "--log.level=error",
        ]
        with service.started(command, Path(folder), port, {"GOMAXPROCS": "1"}) as running:
            running.wait_until_ready("/-/ready")
            yield running


async def measure_alertmanager(sink: Sink, sink_port: int, scale: int, found: Rounds) -> None:
    for how, grouping in GROUPED.items():
        for each, connections in ((1, IN_FLIGHT), (BATCH, BATCHES_IN_FLIGHT)):
            with alertmanager(grouping, sink_port) as running:
                requests = alerts(running.port, 5 * scale, each)
                measured = await accepted(running, requests, connections, each)
                found.setdefault(f"Alertmanager: accept, batch {each}, {how}", []).append(measured)
    with alertmanager(GROUPED["each alert its own group"], sink_port) as running:
        before, used = sink.requests, running.processor_seconds
        answers = await closed_loop(running.port, alerts(running.port, 5 * scale, BATCH), BATCHES_IN_FLIGHT)
        await sink.wait_for(before + 5 * scale)
        took = sink.last_at - min(answers.sent_at.values())
        each_us = 1e6 * (running.processor_seconds - used) / (5 * scale)
        found.setdefault("Alertmanager: deliver", []).append(Measure(5 * scale / took, each_us))


async def measure_all(folder: Path, rounds: int, scale: int) -> Rounds:
    context, bundle = secure_server(folder)
    sink, secure = Sink(), Sink()
    sink_port, secure_port = await sink.listen(), await secure.listen(context)
    found: Rounds = {}
    stores = {"SQLite": "", **({"PostgreSQL": POSTGRES} if POSTGRES else {})}
    for _ in range(rounds):
        for name, store in stores.items():
            sink.requests = 0
            await measure_gateway(Place(store, f"json://127.0.0.1:{sink_port}", {}), sink, scale, found, name)
        down = Place("", f"json://127.0.0.1:{closed_port()}", {})
        await measure_broken(down, scale, found, "SQLite")
        await measure_https(
            Place("", f"jsons://127.0.0.1:{secure_port}", {"REQUESTS_CA_BUNDLE": str(bundle)}), secure, scale, found
        )
        if shutil.which(ALERTMANAGER):
            await measure_alertmanager(sink, sink_port, scale, found)
    return found


async def measure_https(place: Place, sink: Sink, scale: int, found: Rounds) -> None:
    with opened(place) as running:
        before = sink.requests
        await closed_loop(running.port, singles(running.port, 50, 1), 8)
        await sink.wait_for(before + 50)
        measured = await delivered(running, sink, batches(running.port, 5 * scale, 1), 5 * scale)
        found.setdefault("SQLite: deliver over HTTPS", []).append(measured)


def main(quick: bool = False) -> None:
    rounds, scale = (1, 20) if quick else (3, 1000)
    service.load_here()
    with tempfile.TemporaryDirectory() as folder:
        found = run(measure_all(Path(folder), rounds, scale))
    show(
        "gateway run on one processor; per second, processor time of each, waits",
        ("", "per second", "µs each", "p50 ms", "p99 ms"),
        [row(what, measures) for what, measures in found.items()],
    )


if __name__ == "__main__":
    main()
