"""Families: metrics in the classes of Prometheus' library. Only a scrape needs this module, and the library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from gateway.observe.counting import Labels
from gateway.observe.specs import Kind, Spec

_FAMILIES: Mapping[Kind, Callable[..., Any]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def registry_of(collectors: Iterable[Any]) -> CollectorRegistry:
    """A registry with ``collectors`` and the process's own metrics."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    return registry


def text_of(registry: CollectorRegistry) -> bytes:
    """Everything on ``registry`` in Prometheus' text format."""
    return generate_latest(registry)


def family(spec: Spec, values: Iterable[tuple[Labels, Any]]) -> Metric:
    """The metric that ``spec`` declares, with ``values`` by their labels."""
    made: Metric = _FAMILIES[spec.kind](spec.name, f"{spec.meaning}.", labels=spec.labels)
    add: Callable[..., None] = made.add_metric  # type: ignore[attr-defined] # every kind has its own
    for labels, value in values:
        add(labels, *value) if spec.kind == "histogram" else add(labels, value)
    return made
