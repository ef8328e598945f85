"""Whole gateways on one PostgreSQL store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway import Task
from gateway.app import Gateway
from gateway.channels import Recording
from gateway.states import Failed, Running
from gateway.store.ledger import total
from gateway.testing.builders import transition

HANDLER = """
[[handler]]
name = "failed"
when = "state is failed"
to = ["box"]
"""


@pytest.fixture
def config(write: Callable[..., Path], postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STORE", postgres_url)
    folder = write(HANDLER)
    (folder / "store.toml").write_text('[store]\nurl = { env = "STORE" }\n')
    return folder


def test_what_any_of_them_is_told_is_sent_once(
    config: Path, opened: Callable[..., Gateway], sent: Recording, until: Callable[..., None]
) -> None:
    gateways = [opened(config, watch=False) for _ in range(2)]
    told = [transition(id=f"t-{n}") for n in range(20)]

    answers = [one.take(told) for one in gateways]
    for answer in answers:
        answer.result(20)

    until(lambda: len(sent.messages) == 20)
    until(lambda: gateways[0].store.owed() == 0)
    assert total(gateways[1].store.ledger()).delivered == 20
    assert gateways[0].store.counters()["duplicates"] == 20


def test_a_gateway_on_a_server_is_a_state_handler_like_any_other(
    config: Path, opened: Callable[..., Gateway], sent: Recording, until: Callable[..., None]
) -> None:
    gateway = opened(config, watch=False)
    failed = Failed("the table is gone")

    assert gateway(Task("load"), Running(), failed) is failed

    until(lambda: sent.messages)
