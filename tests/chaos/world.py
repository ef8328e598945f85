"""The world of a chaos test: producers, gateways on one store, a sink, a reader of the books; and the verdict."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Self

from chaos.audit import Broken, Evidence, audit, audit_running, ledger_balances
from chaos.books import BookReader, SqliteBooks, UnreachableError
from chaos.declaration import BAD_MARK, CHANNELS, FALLBACKS, IN_FLIGHT, Declaration
from chaos.gateway_process import GatewayProcess, free_port
from chaos.launcher import Settings
from chaos.producer import SHAPES, Client, Log, Producer
from chaos.sink import MODES, Sink

SPARED = 0.3
DRAIN_SECONDS = 20.0
READ_EVERY = 0.4
SHARE_OF_READING = 0.1
"""The reader of running books spends no more than this share of the time on it."""


@dataclass(frozen=True, slots=True)
class Node:
    """A gateway and the folder it is told by."""

    gateway: GatewayProcess
    declaration: Declaration

    def declare(self, version: str = "v0", **more: str) -> None:
        """Write a plain version of its declaration; see :meth:`Declaration.write` for ``more``."""
        self.declaration.write(self.gateway.port, version, **more)


@dataclass(frozen=True, slots=True)
class Setting:
    """How a world is made.

    Attributes:
        folder: where everything lies, and stays if the test fails.
        seed: of all dice.
        nodes: how many gateways.
        store: the URL of the store; a SQLite file in ``folder`` unless given.
        books: who reads it; goes with ``store``.
        settings: how the gateways are broken.
        environment: added to theirs.
    """

    folder: Path
    seed: int
    nodes: int = 1
    store: str = ""
    books: BookReader | None = None
    settings: Settings | None = field(default_factory=Settings)
    environment: dict[str, str] = field(default_factory=dict)
    sync: str = "full"


class World:
    """Everything, for the length of a ``with`` block. What is started is ended at its end."""

    def __init__(self, setting: Setting) -> None:
        self.folder, self.seed = setting.folder, setting.seed
        self.random = Random(setting.seed)
        self.log = Log()
        self.sink = Sink(self.dice())
        self.books: BookReader = setting.books or SqliteBooks(setting.folder / "gateway.db")
        self.doubts: list[Broken] = []
        self.other_deaths: list[float] = []
        self.nodes: list[Node] = []
        self._setting = setting
        self._producers: list[Producer] = []
        self._open = ExitStack()

    def dice(self) -> Random:
        """Dice of one's own: who throws them in a thread disturbs nobody."""
        return Random(self.random.random())

    def __enter__(self) -> Self:
        self._open.enter_context(self.sink)
        self.nodes = [self._node(number) for number in range(self._setting.nodes)]
        for node in self.nodes:
            self._open.callback(node.gateway.close)
            node.declare()
        return self

    def __exit__(self, *_: object) -> None:
        for producer in self._producers:
            producer.stop()
        self._open.close()

    def _node(self, number: int) -> Node:
        setting, folder = self._setting, self.folder / f"node-{number}"
        store = setting.store or f"sqlite:///{self.folder / 'gateway.db'}"
        folder.mkdir(exist_ok=True)
        gateway = GatewayProcess(
            folder, free_port(), self.folder / f"node-{number}.log", setting.settings, setting.environment
        )
        return Node(gateway, Declaration(folder / "config", store, self.sink.address, setting.sync))

    @property
    def gateway(self) -> GatewayProcess:
        """The first of the gateways; most worlds have no other."""
        return self.nodes[0].gateway

    # the two ends

    def client(self) -> Client:
        """A connection to one of the gateways."""
        dice = self.dice()
        return self._client(lambda: dice.choice(self.nodes).gateway.port)

    def client_of(self, node: Node) -> Client:
        """A connection to that gateway."""
        return self._client(lambda: node.gateway.port)

    def _client(self, port: Callable[[], int]) -> Client:
        client = Client(port, self.log)
        self._open.callback(client.close)
        return client

    def start_producers(self, number: int = len(SHAPES), pause: float = 0.03) -> None:
        """Start producers, each with its own way to post, that rest ``pause`` seconds at most."""
        for n in range(len(self._producers), len(self._producers) + number):
            name = f"{self.seed:x}-{n}"
            self._producers.append(Producer(name, SHAPES[n % len(SHAPES)], self.client(), self.dice(), pause))
            self._producers[-1].start()

    def stop_producers(self) -> None:
        """Have the producers end with what they are at, and wait for that."""
        for producer in self._producers:
            producer.stop()
        for producer in self._producers:
            producer.join()

    # what goes on meanwhile

    def in_background(self, work: Callable[[], None], every: Callable[[], float]) -> Callable[[], None]:
        """Do ``work`` again and again in a thread, ``every`` so many seconds; returns what ends that."""
        ended = threading.Event()
        failures: list[BaseException] = []

        def run() -> None:
            try:
                while not ended.wait(every()):
                    work()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run, daemon=True)

        def end() -> None:
            ended.set()
            thread.join(20)
            if failures:
                raise failures[0]

        thread.start()
        self._open.callback(end)
        return end

    def start_weather(self) -> Callable[[], None]:
        """Have the sink change its mind about some channel every 0.3 to 1.5 seconds; returns what ends that."""
        dice = self.dice()

        self.sink.spared = SPARED

        def turn() -> None:
            # What refuses a message for good would leave nothing to try again: only the fickle channel does.
            channel = dice.choice(CHANNELS)
            modes = [mode for mode in MODES if mode != "refuse" or channel == "fickle"]
            self.sink.behave(dice.choice(["ok", "ok", *modes]), channel)

        return self.in_background(turn, lambda: dice.uniform(0.3, 1.5) / 2)

    def start_reading(self) -> Callable[[], None]:
        """Have somebody read the books while they are written in; returns what ends that."""
        took = READ_EVERY * SHARE_OF_READING

        def read() -> None:
            nonlocal took
            began = time.monotonic()
            with suppress(UnreachableError):
                self.doubts += audit_running(self.books.books())
            self.doubts += self._told_ledgers()
            took = time.monotonic() - began

        return self.in_background(read, lambda: max(READ_EVERY, took / SHARE_OF_READING))

    def _told_ledgers(self) -> Iterator[Broken]:
        for node in self.nodes:
            yield from ledger_balances(node.gateway.ledger() or {})

    # the end

    def settle(self, seconds: float = DRAIN_SECONDS) -> None:
        """With a sink that takes everything, wait until nothing is owed, or it does not become less for ``seconds``."""
        self.sink.behave("ok")
        least, deadline = self.books.owed(), time.monotonic() + seconds
        while least and time.monotonic() < deadline:
            for node in self.nodes:
                node.gateway.check_alive()
            time.sleep(0.1)
            if (owed := self.books.owed()) < least:
                least, deadline = owed, time.monotonic() + seconds

    @property
    def deaths(self) -> list[float]:
        """When gateways died, in order."""
        return sorted([at for node in self.nodes for at in node.gateway.deaths] + self.other_deaths)

    def findings(self) -> list[Broken]:
        """What is broken in the end, when nobody writes any more."""
        evidence = Evidence(
            books=self.books.books(thoroughly=True),
            posted=self.log.posted(),
            arrivals=list(self.sink.arrivals),
            deaths=self.deaths,
            in_flight=IN_FLIGHT * len(CHANNELS),
            fallbacks=FALLBACKS,
        )
        seen = [one for one in evidence.arrivals if BAD_MARK in one.text]
        refused = [Broken("reload", "a refused version was in force", tuple(one.key for one in seen))] if seen else []
        return [*self.doubts, *refused, *audit(evidence)]

    def check(self, findings: Sequence[Broken] | None = None) -> None:
        """Fail if anything is broken, with all that is needed to look into it."""
        broken = self.findings() if findings is None else findings
        assert not broken, self.report(broken)

    def report(self, broken: Sequence[Broken]) -> str:
        """What is to be said of ``broken``; all that it was found by is written into the folder."""
        self._write_evidence()
        words = [
            f"seed {self.seed} (run again with GATEWAY_CHAOS_SEED={self.seed}), everything is in {self.folder}",
            *map(str, broken),
            self.summary(),
            *(f"{node.gateway.port}: {node.gateway.last_words()}" for node in self.nodes),
        ]
        return "\n".join(words)

    def _write_evidence(self) -> None:
        books = self.books.books()
        files = {
            "arrivals": self.sink.arrivals,
            "deliveries": books.deliveries,
            "transitions": books.transitions,
            "moments": [("died", at) for at in self.deaths]
            + [("began", at) for node in self.nodes for at in node.gateway.starts],
        }
        for name, entries in files.items():
            (self.folder / f"{name}.txt").write_text("".join(f"{entry}\n" for entry in entries))

    def summary(self) -> str:
        """How much there was of everything."""
        posted = self.log.posted()
        arrivals = list(self.sink.arrivals)
        taken = [one.key for one in arrivals if one.taken]
        return (
            f"{len(posted.acknowledged)} acknowledged, {posted.duplicates} duplicates absorbed, "
            f"{len(arrivals)} requests at the sink, {len(taken)} taken, {len(taken) - len(set(taken))} of them twice, "
            f"{len(self.deaths)} kills, {sum(len(node.gateway.starts) for node in self.nodes)} starts, "
            f"refusals {dict(self.log.refusals)}"
        )
