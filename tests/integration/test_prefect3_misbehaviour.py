"""What a real Prefect 3 server cannot be made to say on demand: the source gets over it, and loses nothing."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from gateway.app import Gateway, retention_of
from gateway.compile import PrefectServer
from gateway.config.models import PrefectConfig
from gateway.observe import Metrics
from gateway.sources.prefect.api import Api, ApiError
from gateway.sources.prefect.filters import changes
from gateway.sources.prefect.mapping import SOURCE
from gateway.store.rows import Position
from gateway.testing.ports import free_port
from gateway.testing.prefect_stand_in import PrefectStandIn
from tests.integration.test_prefect3_source import told, until

SAMPLE = json.loads((Path(__file__).parents[1] / "samples/prefect3/event.flow-run.Failed.json").read_text())

FAILED = '[[handler]]\nname = "failed"\nwhen = "state is failed"\nto = "box"\nmessage = "{{ flow.name }} failed"\n'
DETAILED = FAILED.replace("{{ flow.name }} failed", "{{ flow.parameters.customer }}: {{ flow.log | join }}")


@pytest.fixture
def server() -> Iterator[PrefectStandIn]:
    with PrefectStandIn() as server:
        yield server


@pytest.fixture
def follow(write: Callable[..., Path], opened: Callable[..., Gateway]) -> Callable[..., Gateway]:
    def following(server: PrefectStandIn | str, handlers: str = FAILED, **keys: str) -> Gateway:
        api = server if isinstance(server, str) else server.api
        gateway = opened(write(handlers + source(api, **keys)))
        gateway.follow()
        return gateway

    return following


def source(api: str, **keys: str) -> str:
    written = {"api": api, "sweep": "100ms", "overlap": "1m"} | keys
    return "[source.prefect]\n" + "".join(f'{key} = "{value}"\n' for key, value in written.items())


def has_begun(gateway: Gateway) -> bool:
    report = gateway.following()
    return report is not None and report.position is not None and report.sweeps["ok"] > 0


def is_connected(gateway: Gateway) -> bool:
    report = gateway.following()
    return has_begun(gateway) and report is not None and report.connected


def event(**more: Any) -> dict[str, Any]:
    """A flow run that just failed."""
    return SAMPLE | {"id": str(uuid4()), "occurred": now().isoformat(), "follows": None} | more


def now() -> datetime:
    return datetime.now(UTC)


def test_more_events_of_one_instant_than_fit_a_page_are_all_told_whatever_host_the_next_page_names(
    server, follow, tmp_path
) -> None:
    server.host = "http://127.0.0.1:9"
    gateway = follow(server)
    until(lambda: has_begun(gateway))

    instant = now().isoformat()
    server.add(*(event(occurred=instant) for _ in range(180)), event())
    until(lambda: len(told(tmp_path / "config")) == 181)

    assert gateway.following().sweeps["failed"] == 0


def test_an_event_from_the_future_is_told_and_blinds_nobody(server, follow, tmp_path) -> None:
    gateway = follow(server)
    until(lambda: has_begun(gateway))

    server.add(event(occurred=(now() + timedelta(days=365)).isoformat()))
    until(lambda: len(told(tmp_path / "config")) == 1)
    server.add(event())
    until(lambda: len(told(tmp_path / "config")) == 2)

    assert gateway.store.position(SOURCE).until <= now()


@pytest.mark.parametrize(
    ("malformed", "complaint"),
    [
        ({"payload": {"validated_state": {"type": "EXPLODED", "name": "x"}}}, "no state type 'EXPLODED'"),
        ({"resource": "none"}, "resource: is text; right is an object"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_event_that_is_not_understood_is_kept_once_and_holds_up_nobody(
    server, follow, tmp_path, malformed, complaint, streamed
) -> None:
    gateway = follow(server)
    until(lambda: is_connected(gateway))

    server.add(event(**malformed), event(), streamed=streamed)
    until(lambda: len(told(tmp_path / "config")) == 1)
    sweeps = gateway.following().sweeps["ok"]
    until(lambda: gateway.following().sweeps["ok"] > sweeps + 3)

    (refused,) = gateway.store.refused(limit=10)
    assert complaint in refused.complaint
    assert refused.source == SOURCE


def test_an_event_that_is_not_understood_is_kept_once_however_often_the_following_begins(
    server, follow, tmp_path, caplog
) -> None:
    caplog.set_level("INFO", "gateway.prefect")
    gateway = follow(server)
    until(lambda: has_begun(gateway))
    server.add(event(resource="none"), event())
    until(lambda: len(told(tmp_path / "config")) == 1)

    (tmp_path / "config" / "gateway.toml").write_text(FAILED + source(server.api, sweep="200ms"))
    until(lambda: "Prefect is followed from where it was left" in caplog.text)
    server.add(event())
    until(lambda: len(told(tmp_path / "config")) == 2)

    assert len(gateway.store.refused(limit=10)) == 1


def test_a_message_of_the_stream_that_is_no_event_breaks_nothing(server, follow, tmp_path) -> None:
    gateway = follow(server)
    until(lambda: is_connected(gateway))

    server.stream("[", "null", '{"type": "event"}', '{"type": "event", "event": 5}')
    server.add(event(), streamed=True)
    until(lambda: len(told(tmp_path / "config")) == 1)
    until(lambda: len(gateway.store.refused(limit=10)) == 4)


def test_what_is_too_large_for_the_stream_comes_from_the_history_and_the_stream_goes_on(
    server, follow, tmp_path
) -> None:
    gateway = follow(server)
    until(lambda: is_connected(gateway))

    large = event()
    large["payload"] = large["payload"] | {"padding": "x" * 9_000_000}
    server.add(large, streamed=True)
    until(lambda: len(told(tmp_path / "config")) == 1)
    until(lambda: is_connected(gateway))
    server.add(event(), streamed=True)
    until(lambda: len(told(tmp_path / "config")) == 2)


def test_a_server_without_a_stream_is_followed_by_its_history_and_it_is_said_once(
    server, follow, tmp_path, caplog, monkeypatch
) -> None:
    monkeypatch.setattr("gateway.sources.prefect.waits.FIRST_SECONDS", 0.05)
    server.streams = False
    gateway = follow(server)
    until(lambda: has_begun(gateway))

    server.add(event())
    until(lambda: len(told(tmp_path / "config")) == 1)
    assert gateway.following().told == {"sweep": 1}

    until(lambda: "there is no stream of events; all comes with the sweep" in caplog.text)
    server.streams = True
    until(lambda: is_connected(gateway))
    assert [record.message for record in caplog.records if record.name == "gateway.prefect"] == [
        "there is no stream of events; all comes with the sweep, later",
        "the stream of events is open again",
    ]


def test_an_event_that_another_follows_and_the_stream_left_out_is_read_at_once(server, follow, tmp_path) -> None:
    gateway = follow(server, sweep="1h")
    until(lambda: is_connected(gateway))
    until(lambda: gateway.following().sweeps["ok"] >= 2)  # the last one for an hour

    left_out = event()
    server.add(left_out)
    server.add(event(follows=left_out["id"]), streamed=True)
    until(lambda: len(told(tmp_path / "config")) == 2, 10)


def test_a_key_that_may_read_events_alone_holds_up_nothing(server, follow, tmp_path, caplog) -> None:
    server.broken, server.broken_status = {"flow_runs", "task_runs"}, 403
    gateway = follow(server, overlap="1s")
    until(lambda: has_begun(gateway))

    server.add(event())
    until(lambda: len(told(tmp_path / "config")) == 1)
    until(lambda: "what the server may have lost cannot be looked for" in caplog.text)
    begun = gateway.following().position
    until(lambda: gateway.following().position > begun)


def test_what_is_older_than_max_age_is_left_out_and_operators_hear_of_it(
    server, write, opened, tmp_path, sent, caplog
) -> None:
    ops = '[gateway]\nops = ["box"]\n'
    gateway = opened(write(ops + source(server.api, max_age="1h")))
    gateway.store.advance(Position(SOURCE, now() - timedelta(hours=4))).result()
    ages = [timedelta(hours=3), timedelta(minutes=61), timedelta(minutes=59), timedelta()]
    server.add(*(event(occurred=(now() - age).isoformat()) for age in ages))

    gateway.follow()
    until(lambda: len(told(tmp_path / "config")) == 2)
    until(lambda: sent.messages)

    assert "what is older than max_age is left out" in caplog.text
    (message,) = sent.messages
    assert message.title == "gateway: a part of what happened is not told"
    assert "for 3h is not told" in message.body


def test_from_now_leaves_out_what_happened_while_nobody_looked(server, write, opened, tmp_path) -> None:
    gateway = opened(write(FAILED + source(server.api, **{"from": "now"})))
    gateway.store.advance(Position(SOURCE, now() - timedelta(minutes=10))).result()
    server.add(event(occurred=(now() - timedelta(minutes=1)).isoformat()))

    gateway.follow()
    until(lambda: has_begun(gateway))
    server.add(event())
    until(lambda: len(told(tmp_path / "config")) == 1)


def test_errors_of_the_server_are_got_over_and_told_once(server, follow, tmp_path, caplog) -> None:
    gateway = follow(server)
    until(lambda: has_begun(gateway))

    server.status = 500
    server.add(event())
    until(lambda: gateway.following().sweeps["failed"] >= 2)
    assert told(tmp_path / "config") == []
    server.status = 200
    until(lambda: len(told(tmp_path / "config")) == 1)

    assert [record.levelname for record in caplog.records if record.name == "gateway.prefect"] == ["WARNING"] * 2


def test_what_may_be_read_again_is_kept_however_little_the_store_is_to_keep(server, write, opened, tmp_path) -> None:
    folder = write(FAILED + source(server.api, max_age="3h", overlap="10m"))
    store = next(file for file in folder.iterdir() if "[store]" in file.read_text())
    store.write_text(store.read_text().replace("[store]", '[store]\nkeep = "1m"\nkeep_unmatched = "0"'))

    retention = retention_of(opened(folder).ruleset)

    assert retention.ended == retention.unmatched == timedelta(hours=3, minutes=20)


def test_a_token_against_forged_requests_is_got_and_renewed_when_it_is_refused(server, follow, tmp_path) -> None:
    server.csrf_token = "first"
    gateway = follow(server)
    until(lambda: has_begun(gateway))

    server.csrf_token = "second"
    server.add(event())
    until(lambda: len(told(tmp_path / "config")) == 1)

    assert gateway.following().sweeps["failed"] == 0
    assert sum(path == "/api/csrf-token" for _, path in server.asked) == 2


def test_who_starts_before_the_server_does_misses_nothing_of_it(follow, tmp_path) -> None:
    gateway = follow(f"http://127.0.0.1:{free_port()}/api")
    until(lambda: gateway.following() is not None)
    with PrefectStandIn() as server:
        server.add(event())
        file = tmp_path / "config" / "gateway.toml"
        file.write_text(FAILED + source(server.api))
        until(lambda: len(told(tmp_path / "config")) == 1)
        gateway.close()


def test_a_source_that_is_taken_out_of_the_configuration_and_put_back_goes_on_where_it_was(
    server, follow, tmp_path
) -> None:
    gateway = follow(server)
    until(lambda: is_connected(gateway))
    file = tmp_path / "config" / "gateway.toml"
    written = file.read_text()

    file.write_text(FAILED)
    until(lambda: gateway.following() is None)
    until(lambda: server.listeners == 0)
    server.add(event())
    file.write_text(written)
    until(lambda: len(told(tmp_path / "config")) == 1)


def test_a_failure_of_the_api_delays_what_needs_details_and_nothing_else(server, follow, tmp_path, sent) -> None:
    gateway = follow(server, DETAILED)
    until(lambda: is_connected(gateway))
    failed = event()
    run_id = failed["resource"]["prefect.resource.id"].removeprefix("prefect.flow-run.")
    server.runs[run_id] = {"id": run_id, "parameters": {"customer": "globex"}}
    server.logs = [{"message": "no table", "level": 40, "timestamp": "2026-11-22T14:31:50Z"}]

    server.broken = {"flow_runs/"}
    pending = json.loads((Path(__file__).parents[1] / "samples/prefect3/event.flow-run.Pending.json").read_text())
    server.add(failed, pending | {"id": str(uuid4()), "occurred": now().isoformat()}, streamed=True)
    until(lambda: len(told(tmp_path / "config")) == 1)
    position = gateway.following().position
    assert position is not None and position < datetime.fromisoformat(failed["occurred"])
    server.broken = set()
    until(lambda: len(sent.messages) == 1)

    assert sent.messages[0].body == "globex: 14:31:50 ERROR no table"


def test_what_waits_for_details_holds_up_nothing_that_is_streamed_after_it(server, follow, tmp_path) -> None:
    gateway = follow(server, DETAILED, sweep="1h")
    until(lambda: is_connected(gateway))
    until(lambda: gateway.following().sweeps["ok"] >= 2)  # the last one for an hour
    server.broken = {"flow_runs/"}
    late = json.loads((Path(__file__).parents[1] / "samples/prefect3/event.flow-run.Late.json").read_text())

    failed = event()
    run_id = failed["resource"]["prefect.resource.id"].removeprefix("prefect.flow-run.")
    server.add(failed, streamed=True)
    until(lambda: ("GET", f"/api/flow_runs/{run_id}") in server.asked)
    server.add(late | {"id": str(uuid4()), "occurred": now().isoformat(), "follows": None}, streamed=True)

    until(lambda: len(told(tmp_path / "config")) == 1, 5)


def test_details_of_a_form_that_nobody_foresaw_hold_up_nobody(server, follow, tmp_path, sent) -> None:
    gateway = follow(server, FAILED.replace("{{ flow.name }}", "{{ flow.parameters.customer | default('none') }}"))
    until(lambda: has_begun(gateway))
    failed = event()
    run_id = failed["resource"]["prefect.resource.id"].removeprefix("prefect.flow-run.")
    server.runs[run_id] = {"id": run_id, "empirical_policy": ["of a list"]}

    server.add(failed)
    until(lambda: len(sent.messages) == 1)

    assert sent.messages[0].body == "none failed"
    assert gateway.following().undetailed == 1


@pytest.mark.parametrize(
    ("status", "path", "auth", "says"),
    [
        (401, "/api", "", "asks for credentials (401), add them to [source.prefect]"),
        (401, "/api", "admin:secret", "refuses what 'auth' in [source.prefect] holds (401)"),
        (403, "/api", "admin:secret", "(403): as told: see 'auth' or 'key'"),
        (200, "", "", "(404): 'api' in [source.prefect] is what Prefect calls PREFECT_API_URL"),
        (307, "/api", "admin:secret", "sends on to another address (307): give the one it ends at as 'api'"),
        (503, "/api", "", "answers /events/filter with 503: as told"),
    ],
)
def test_an_error_says_what_would_be_right_and_shows_no_secret(server, status, path, auth, says) -> None:
    server.status = status
    api = server.api.removesuffix("/api") + path

    with pytest.raises(ApiError) as failed:
        ask(api.replace("://", "://user:hidden@") if not auth else api, auth)

    assert says in str(failed.value)
    assert "secret" not in str(failed.value) and "hidden" not in str(failed.value)
    assert failed.value.__cause__ is None


def test_nobody_there_and_no_answer_are_told_apart(server) -> None:
    with pytest.raises(ApiError, match=r"nobody answers at http://127.* Does the server run, and is 'api' right"):
        ask(f"http://127.0.0.1:{free_port()}/api")
    server.hangs = True
    with pytest.raises(ApiError, match=r"no answer in time from http://127\.0\.0\.1"):
        ask(server.api)


def ask(api: str, auth: str = "") -> None:
    async def asking() -> None:
        declared = PrefectServer(PrefectConfig(), api, "", auth)
        async with Api(declared, httpx.Timeout(0.5)) as client:
            await client.events(changes(now()))

    asyncio.run(asking())


def test_what_the_extra_brings_is_imported_only_where_a_server_is_declared(write) -> None:
    script = (
        "import sys; from gateway import Gateway; gateway = Gateway(sys.argv[1]); gateway.follow(); gateway.close(); "
        "print({'httpx', 'websockets'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script, write(FAILED)], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


def test_a_gateway_inside_a_flow_follows_nobody(server, write, opened) -> None:
    gateway = opened(write(FAILED + source(server.api)))

    gateway.reload()

    assert gateway.following() is None
    assert server.asked == []


def test_the_metrics_tell_how_it_goes_and_nothing_where_nobody_is_followed(server, follow, write, opened) -> None:
    gateway = follow(server)
    metrics = Metrics(gateway)
    until(lambda: is_connected(gateway))
    server.add(event())
    until(lambda: gateway.following().told.total() == 1)

    said = metrics.exposition().decode()

    assert "gateway_prefect_stream_connected 1.0" in said
    assert 'gateway_prefect_transitions_total{way="sweep"} 1.0' in said
    assert 'gateway_prefect_sweeps_total{result="failed"} 0.0' in said
    assert float(re.search(r"^gateway_prefect_last_contact_seconds (\S+)$", said, re.MULTILINE)[1]) < 30
    gateway.close()
    assert "gateway_prefect_stream_connected 1.0" not in metrics.exposition().decode()


def test_closing_is_quick_whatever_the_server_does(server, follow) -> None:
    gateway = follow(server)
    until(lambda: is_connected(gateway))
    server.hangs = True
    time.sleep(0.3)

    began = time.monotonic()
    gateway.close()

    assert time.monotonic() - began < 2
