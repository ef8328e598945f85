"""Measures: what is counted of requests, for the registry of the gateway's metrics. Cheap: every request pays for it.

Labels are words of ours, never anything that came with a request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.observe.counting import Histogram
from gateway.server.answers import RefusedError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
NO_ROUTE = "(none)"
_METHODS = frozenset({"GET", "HEAD", "POST"})


class Measures:
    """Counts requests. All but :meth:`collect` is to be used in the event loop."""

    def __init__(self) -> None:
        self._open = 0
        self._answered: Counter[tuple[str, str, int]] = Counter()
        self._seconds: dict[str, Histogram] = {}
        self._refused: Counter[str] = Counter()
        self._ignored: Counter[tuple[str, str]] = Counter()

    def began(self) -> None:
        """A request is there."""
        self._open += 1

    def ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; or its client is gone, and the status is 0."""
        self._open -= 1
        if not status:
            return
        self._answered[route, method if method in _METHODS else "(other)", status] += 1
        histogram = self._seconds.get(route)
        if histogram is None:
            histogram = self._seconds[route] = Histogram(DURATION_BUCKETS)
        histogram.add(seconds)

    def malformed(self, number: int) -> None:
        """So many transitions of a request could not be understood."""
        self._refused["malformed"] += number

    def refused(self, refusal: RefusedError) -> None:
        """A request with transitions was refused as a whole."""
        self._refused[refusal.reason] += 1

    def ignored(self, source: str, why: str, number: int = 1) -> None:
        """So many events of ``source`` told of no change that is of interest."""
        self._ignored[source, why] += number

    def collect(self) -> Iterator[Metric]:
        """Everything counted, as Prometheus' library wants it. Safe to call from any thread."""
        from prometheus_client.core import (  # late: only who is scraped pays for it
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        answered = CounterMetricFamily(
            "gateway_http_requests", "Requests answered.", labels=("route", "method", "status")
        )
        for (route, method, status), number in list(self._answered.items()):
            answered.add_metric((route, method, str(status)), number)
        yield answered
        seconds = HistogramMetricFamily(
            "gateway_http_request_duration_seconds", "From the head of a request to its answer.", labels=("route",)
        )
        for route, histogram in list(self._seconds.items()):
            seconds.add_metric((route,), *histogram.told())
        yield seconds
        refused = CounterMetricFamily(
            "gateway_transitions_refused",
            "Transitions that were malformed; for other reasons, requests with transitions.",
            labels=("reason",),
        )
        for reason, number in list(self._refused.items()):
            refused.add_metric((reason,), number)
        yield refused
        ignored = CounterMetricFamily(
            "gateway_events_ignored",
            "Events of sources that told of no change of a state, or of none that is declared.",
            labels=("source", "reason"),
        )
        for (source, why), number in list(self._ignored.items()):
            ignored.add_metric((source, why), number)
        yield ignored
        yield GaugeMetricFamily("gateway_http_requests_in_flight", "Requests not answered yet.", self._open)
