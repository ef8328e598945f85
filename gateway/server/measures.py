"""Measures: what is counted of requests, on the registry of the gateway's metrics.

Labels are words of ours, never anything that came with a request.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.server.answers import Answer, RefusedError, Request

DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
NO_ROUTE = "(none)"
_METHODS = frozenset({"GET", "HEAD", "POST"})


class Measures:
    """Counts requests. To be used in the event loop."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "gateway_http_requests", "Requests answered", ("route", "method", "status"), registry=registry
        )
        self._seconds = Histogram(
            "gateway_http_request_duration_seconds",
            "From the head of a request to its answer",
            ("route",),
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._refused = Counter(
            "gateway_transitions_refused",
            "Transitions that were malformed; for other reasons, requests with transitions that were refused",
            ("reason",),
            registry=registry,
        )
        self._in_flight = Gauge("gateway_http_requests_in_flight", "Requests not answered yet", registry=registry)
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    def began(self) -> None:
        """A request is there."""
        self._in_flight.inc()

    def ended(self, request: Request, route: str, answer: Answer | None, seconds: float) -> None:
        """A request was answered, or its client is gone."""
        self._in_flight.dec()
        if answer is None:
            return
        method = request.method if request.method in _METHODS else "(other)"
        key = route, method, answer.status
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = self._requests.labels(*map(str, key))
            self._histograms.setdefault(route, self._seconds.labels(route))
        counter.inc()
        self._histograms[route].observe(seconds)

    def malformed(self, number: int) -> None:
        """So many transitions of a request could not be understood."""
        self._refused.labels("malformed").inc(number)

    def refused(self, refusal: RefusedError) -> None:
        """A request with transitions was refused as a whole."""
        self._refused.labels(refusal.reason).inc()
