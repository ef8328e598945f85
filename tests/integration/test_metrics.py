"""A gateway at work, as Prometheus reads it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from math import inf

import pytest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families

from gateway import Task, states
from gateway.observe import CONTENT_TYPE, Metrics
from gateway.observe.specs import METRICS
from gateway.sources.payload import parse_transition
from gateway.testing.builders import transition

HANDLERS = """
[[handler]]
name = "told"
when = "state is failed"
to   = "box"

[[handler]]
name = "raises"
when = 'state.result < 5 and state is finished'
to   = "box"

[[handler]]
name = "shadowed"
when = "state is failed"
to   = "box"
mode = "shadow"
"""
BROKEN = '[channel.broken]\nurl = "record://broken-metrics?fail=99&outcome=permanent"\n'

Samples = dict[tuple[str, tuple[str, ...]], float]


def scraped(metrics: Metrics) -> Samples:
    """Every sample by name and the values of its labels, in the order of their names."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def fail(gateway, times: int = 1) -> None:
    for _ in range(times):
        gateway(Task(name="work"), states.Running(), states.Failed("boom", result="a text"))


@pytest.fixture
def observed(write, opened) -> Callable[..., tuple]:
    def opening(handlers: str = HANDLERS, channels: str = "") -> tuple:
        gateway = opened(write(handlers, channels), watch=False)
        return gateway, Metrics(gateway)

    return opening


def test_what_is_told_is_counted_from_the_transition_to_the_ledger(observed) -> None:
    gateway, metrics = observed()

    fail(gateway, 3)
    gateway(Task(name="work"), None, states.Running())
    gateway.take([transition(new="Success")]).result()
    gateway.drain()
    samples = scraped(metrics)

    assert samples["gateway_transitions_total", ("true", "local")] == 3
    assert samples["gateway_transitions_total", ("false", "local")] == 2
    assert samples["gateway_handler_matches_total", ("told",)] == 3
    assert samples["gateway_handler_check_errors_total", ("raises",)] == 3
    assert samples["gateway_deliveries_total", ("box", "told", "ok", "delivered")] == 3
    assert samples["gateway_deliveries_total", ("box", "shadowed", "shadow", "suppressed")] == 3
    assert samples["gateway_attempts_total", ("box", "delivered", "ok")] == 3
    assert samples["gateway_attempt_duration_seconds_count", ("box",)] == 3
    assert samples["gateway_delivery_latency_seconds_count", ("box",)] == 3
    assert samples["gateway_occurrence_latency_seconds_count", ("box",)] == 3
    assert samples["gateway_ledger_deliveries", ("accepted", "box", "told")] == 3
    assert samples["gateway_ledger_deliveries", ("owed", "box", "told")] == 0
    assert samples["gateway_ledger_balanced", ()] == 1
    assert samples["gateway_store_transitions_total", ()] >= 4, "those of flows come with the next heartbeat"
    assert samples["gateway_store_commit_duration_seconds_count", ()] > 0
    assert samples["gateway_channel_breaker", ("box", "closed")] == 1
    assert samples["gateway_nodes", (gateway.ruleset.hash,)] == 1
    assert samples["gateway_well", ()] == samples["gateway_store_up", ()] == 1
    assert samples["gateway_store_size_bytes", ()] > 0
    assert CONTENT_TYPE == CONTENT_TYPE_LATEST


def test_what_comes_in_batches_is_counted_and_repeats_apart(observed) -> None:
    gateway, metrics = observed()
    event = '{"id": "one", "obj": {"kind": "task", "name": "load"}, "new_state": {"type": "Failed", "result": 1}}'

    gateway.take([parse_transition(event), parse_transition(event)]).result()
    gateway.take([parse_transition(event.replace('"one"', '"two"'))]).result()
    samples = scraped(metrics)

    assert samples["gateway_transitions_total", ("true", "event")] == 2
    assert samples["gateway_duplicate_transitions_total", ("event",)] == 1
    assert samples["gateway_handler_matches_total", ("raises",)] == 2


def test_nothing_that_comes_with_an_event_is_a_label(observed) -> None:
    gateway, metrics = observed()
    hostile = 'ev\\"il}\\n{__name__=\\"x\\"'
    event = (
        f'{{"id": "{hostile}", "source": "{hostile}", "obj": {{"kind": "task", "name": "{hostile}"}},'
        f'"new_state": {{"type": "Failed", "message": "{hostile}", "result": 9}}}}'
    )

    gateway.take([parse_transition(event)]).result()
    gateway.drain()

    assert b"ev" + b"\\" not in metrics.exposition()
    assert b"il}" not in metrics.exposition()
    assert scraped(metrics)["gateway_transitions_total", ("true", "(other)")] == 1


def test_a_dead_letter_is_counted_with_its_reason(observed) -> None:
    gateway, metrics = observed(HANDLERS.replace('to   = "box"', 'to   = "broken"', 1), BROKEN)

    fail(gateway)
    gateway.drain()

    assert scraped(metrics)["gateway_deliveries_total", ("broken", "told", "asked_to_fail", "dead")] == 1


def test_what_alerts_look_for_the_increase_of_begins_at_nought(observed) -> None:
    """A series that begins with its first event has no increase then."""
    gateway, metrics = observed()
    before = scraped(metrics)
    gateway(Task(name="work"), None, states.Failed("boom"))
    gateway.drain()

    for name in ("check_errors", "template_errors", "matches"):
        assert before[f"gateway_handler_{name}_total", ("told",)] == 0
    assert before["gateway_config_reloads_total", ("refused",)] == 0
    assert scraped(metrics)["gateway_handler_matches_total", ("told",)] == 1


def test_reloads_are_told_as_alertmanager_tells_them(observed, write) -> None:
    gateway, metrics = observed()
    before = scraped(metrics)

    write(HANDLERS.replace('"box"', '"bx"', 1))
    gateway.reload()
    refused = scraped(metrics)
    write(HANDLERS + "# edited\n")
    gateway.reload()
    accepted = scraped(metrics)

    success, at = "gateway_config_last_reload_successful", "gateway_config_last_reload_success_timestamp_seconds"
    assert [samples[success, ()] for samples in (before, refused, accepted)] == [1, 0, 1]
    assert before[at, ()] == refused[at, ()] < accepted[at, ()]
    assert (
        before["gateway_config_hash", ()] == refused["gateway_config_hash", ()] != accepted["gateway_config_hash", ()]
    )
    assert refused["gateway_config_reloads_total", ("refused",)] == 1


def test_series_of_a_handler_and_a_channel_that_are_gone_go(observed, write, until) -> None:
    to_both = HANDLERS.replace('to   = "box"', 'to   = ["box", "broken"]', 1)
    gateway, metrics = observed(to_both, BROKEN)
    fail(gateway)
    gateway.drain()
    assert any("broken" in labels for _, labels in scraped(metrics))

    write(HANDLERS.replace('"told"', '"renamed"'))
    assert gateway.reload().accepted

    labels = {label for _, labels in scraped(metrics) for label in labels}
    assert not {"broken", "told"} & labels
    assert scraped(metrics)["gateway_ledger_deliveries", ("dead", "(other)", "(other)")] == 1


def test_a_store_that_does_not_answer_leaves_gaps_and_fails_no_scrape(observed) -> None:
    gateway, metrics = observed()
    fail(gateway)

    gateway.close()
    samples = scraped(metrics)

    assert samples["gateway_store_up", ()] == samples["gateway_well", ()] == 0
    assert samples["gateway_store_last_write_seconds", ()] == inf
    assert samples["gateway_transitions_total", ("true", "local")] == 1
    assert not any(name.startswith(("gateway_ledger", "gateway_nodes")) for name, _ in samples)


def test_what_waits_shows_how_old_it_is(observed) -> None:
    waiting = '[channel.down]\nurl = "record://down-metrics?fail=99&outcome=channel"\n'
    gateway, metrics = observed(HANDLERS.replace('to   = "box"', 'to   = "down"', 1), waiting)
    gateway.drain_seconds = 0

    fail(gateway)
    gateway.drain(0.5)
    samples = scraped(metrics)

    assert samples["gateway_ledger_deliveries", ("owed", "down", "told")] == 1
    assert samples["gateway_oldest_owed_seconds", ("down",)] > 0
    assert samples["gateway_channel_breaker", ("down", "open")] == 1


def test_two_gateways_in_a_process_count_for_themselves(observed, write, opened, tmp_path) -> None:
    gateway, metrics = observed()
    other = opened(write(HANDLERS), watch=False)
    others = Metrics(other)

    fail(gateway)
    gateway.drain()

    assert scraped(metrics)["gateway_transitions_total", ("true", "local")] == 1
    assert not any(name == "gateway_transitions_total" for name, _ in scraped(others))


def test_the_names_are_those_prometheus_asks_for() -> None:
    for spec in METRICS:
        assert spec.name.startswith("gateway_")
        assert spec.name.endswith("_total") == (spec.kind == "counter"), spec.name
        assert not spec.meaning.endswith(".")
    assert len({spec.name for spec in METRICS}) == len(METRICS)


def test_a_gateway_without_metrics_never_loads_their_library(write) -> None:
    script = f"""
import sys
from gateway import Gateway
from gateway.testing.builders import transition
with Gateway({str(write(HANDLERS))!r}, watch=False) as gateway:
    assert not gateway.observers
assert "prometheus_client" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_store_is_told_which_configuration_runs(observed, write, until) -> None:
    gateway, _ = observed()
    until(lambda: [node.config_hash for node in gateway.store.nodes()] == [gateway.ruleset.hash], 2)

    write(HANDLERS + "# edited\n")
    gateway.reload()

    until(lambda: [node.config_hash for node in gateway.store.nodes()] == [gateway.ruleset.hash], 2)
