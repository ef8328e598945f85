"""Events of one run that come to different gateways on one PostgreSQL store follow one another all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import Gateway
from gateway.config import load, read_sources
from gateway.server import Server, open_door


def event(type: str, second: int) -> dict[str, Any]:
    at = f"2026-11-22T15:00:{second:02}Z"
    return {"eventType": type, "eventTime": at, "run": {"runId": "r-1"}, "job": {"namespace": "a", "name": "load"}}


@pytest.fixture
def nodes(postgres_url: str, tmp_path: Path) -> Iterator[list[tuple[Gateway, httpx.Client]]]:
    """Two gateways, and a client for each."""
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\nurl = "{postgres_url}"\n[server]\nlisten = "127.0.0.1:0"\n')
    with ExitStack() as stack:
        found = []
        for _ in range(2):
            gateway = stack.enter_context(Gateway(config, watch=False))
            server = stack.enter_context(Server(gateway, open_door(load(read_sources(config)[0]))))
            found.append((gateway, stack.enter_context(httpx.Client(base_url=server.url, timeout=20))))
        yield found


def test_the_state_before_is_the_one_that_another_gateway_was_told(nodes) -> None:
    (gateway, one), (_, other) = nodes
    for client, sent in ((one, event("START", 1)), (other, event("FAIL", 2)), (one, event("START", 3))):
        assert client.post("/api/v1/lineage", json=sent).json()["accepted"] == 1
    assert other.post("/api/v1/lineage", json=event("START", 3)).json()["duplicates"] == 1

    rows = gateway.store.transitions(limit=9)

    assert [(row.old_type, row.new_type) for row in sorted(rows, key=lambda row: row.occurred_at)] == [
        (None, "Running"),
        ("Running", "Failed"),
        ("Failed", "Running"),
    ]


@pytest.mark.parametrize("body", [b"\x00", b'{"run": "\\u0000"}', b'{"run": {"runId": "\\u0000"}}', b"\xff\xfe"])
def test_what_no_database_takes_is_refused_and_kept(nodes, body) -> None:
    (gateway, client), _ = nodes

    answer = client.post("/api/v1/lineage", content=body, headers={"content-type": "application/json"})

    assert answer.status_code in (400, 422)
    assert len(gateway.store.refused()) == 1


def test_a_run_id_with_a_character_that_no_database_takes_is_a_run_id(nodes) -> None:
    (gateway, client), _ = nodes
    for number, type in enumerate(("START", "FAIL")):
        sent = event(type, number) | {"run": {"runId": "a\0b"}}
        assert client.post("/api/v1/lineage", json=sent).json()["accepted"] == 1

    assert {(row.old_type, row.new_type) for row in gateway.store.transitions(limit=9)} == {
        (None, "Running"),
        ("Running", "Failed"),
    }
