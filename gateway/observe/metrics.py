"""Metrics: one gateway, as Prometheus reads it. Counts are taken from an observer, the rest is asked at each scrape."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from gateway.observe.counting import Counting, Labels, Names
from gateway.observe.specs import METRICS, Spec, View
from gateway.reload import Reloaded
from gateway.store.room import Room
from gateway.store.standing import Standing

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

    from gateway.app import Gateway

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
"""Of :meth:`Metrics.exposition`."""

QUESTION_SECONDS = 2.5
"""A scrape waits no longer for the store."""

_INFINITY = float("inf")


class Collects(Protocol):
    """Has metrics of its own."""

    def collect(self) -> Iterable[Metric]:
        """Its families, as they stand."""


class Metrics:
    """The metrics of one gateway, on a registry of their own. Prometheus' library is imported by the first scrape.

    Args:
        gateway: what to count from now on; it must outlive this object.
        others: who has more for the same registry.
    """

    def __init__(self, gateway: Gateway, others: Iterable[Collects] = ()) -> None:
        self._gateway, self._others = gateway, tuple(others)
        self._counting = Counting(lambda: Names.of(gateway.ruleset))
        self._reloaded = (True, datetime.now(UTC).timestamp())
        self._question = Question(self._ask_store)
        gateway.observers.add(self._counting.see)
        gateway.observers.add(self._note_reload)
        gateway.store.on_commit(self._counting.see)

    @cached_property
    def registry(self) -> CollectorRegistry:
        """Where all of it is registered."""
        from gateway.observe.families import registry_of  # late: see the docstring of the class

        return registry_of([self, *self._others])

    def exposition(self) -> bytes:
        """Everything on the registry in Prometheus' text format. A store that does not answer only leaves gaps."""
        from gateway.observe.families import text_of

        return text_of(self.registry)

    def collect(self) -> Iterator[Metric]:
        """The families, for the registry."""
        from gateway.observe.families import family

        view = self._view()
        for spec in METRICS:
            if spec.of_store and view.standing is None:
                continue
            yield family(spec, self._counted(spec) if spec.read is None else [*spec.read(view)])

    def _counted(self, spec: Spec) -> Iterable[tuple[Labels, Any]]:
        """What was counted, with nought where the labels are known before anything is.

        Of a series that begins with its first event, Prometheus sees no increase.
        """
        nought: dict[Labels, Any] = {}
        if spec.labels == ("handler",):
            nought = {(handler.name,): 0.0 for handler in self._gateway.ruleset.config.handlers}
        elif spec.counted == "reloads":
            nought = {("accepted",): 0.0, ("refused",): 0.0}
        return (nought | dict(self._counting.copy(spec.counted))).items()

    def describe(self) -> Iterable[Metric]:
        """The families without values: asked when others are added to the registry."""
        from gateway.observe.families import family

        return [family(spec, []) for spec in METRICS]

    def _note_reload(self, record: object) -> None:
        if isinstance(record, Reloaded):
            self._reloaded = record.accepted, datetime.now(UTC).timestamp() if record.accepted else self._reloaded[1]

    def _view(self) -> View:
        gateway = self._gateway
        standing = self._question.ask(QUESTION_SECONDS)
        is_open = not gateway.closed
        return View(
            names=Names.of(gateway.ruleset),
            now=gateway.store.now() if is_open else datetime.now(UTC),
            config_hash=gateway.ruleset.hash,
            reports=gateway.reports(),
            standing=standing,
            room=gateway.store.room() if is_open else Room(),
            store_lately=gateway.store.seconds_since_beat() if is_open else _INFINITY,
            queued_changes=gateway.store.waiting if is_open else 0,
            backlog=gateway.backlog,
            last_reload=self._reloaded[0],
            last_success=self._reloaded[1],
            is_well=is_open and gateway.is_well(),
            prefect=gateway.following(),
        )

    def _ask_store(self) -> Standing:
        store = self._gateway.store
        self._counting.time(store.occurred)
        return store.standing(store.now() - timedelta(days=1))


class Question:
    """Asks what may take long in a thread of its own, so that nobody waits for the answer longer than they like."""

    def __init__(self, ask: Callable[[], Standing]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._asked: Future[Standing] | None = None

    def ask(self, seconds: float) -> Standing | None:
        """The answer; ``None`` if there is none within ``seconds``, or only an error. One is asked at a time."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = self._begin()
            asked = self._asked
        try:
            return asked.result(seconds)
        except Exception:  # whatever it is, a scrape has to tell of everything else
            return None

    def _begin(self) -> Future[Standing]:
        answer: Future[Standing] = Future()

        def run() -> None:
            try:
                answer.set_result(self._ask())
            except BaseException as error:
                answer.set_exception(error)

        threading.Thread(target=run, name="gateway-scrape", daemon=True).start()
        return answer
