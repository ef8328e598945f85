"""How long a running gateway keeps what it told, and what it does when its store is taken away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway import Task, states
from gateway.app import Gateway
from gateway.channels import Recording
from gateway.store.ledger import total
from gateway.store.opening import open_store
from gateway.testing.builders import acceptance, new_delivery

Until = Callable[..., None]
HANDLER = '[[handler]]\nname = "failed"\nstate = "Failed"\nto = "box"\nmessage = "{{ task.name }}"\n'


def fail(gateway: Gateway, name: str) -> None:
    gateway(Task(name=name), states.Running(), states.Failed("boom"))


def test_rows_are_kept_as_long_as_the_configuration_says_and_an_edit_of_that_takes_effect(
    write: Callable[..., Path], opened: Callable[..., Gateway], sent: Recording, until: Until, tmp_path: Path
) -> None:
    config = write(HANDLER)
    store = open_store(f"sqlite:///{tmp_path}/gateway.db")
    long_ago = datetime.now(UTC) - timedelta(days=20)
    store.accept(acceptance(new_delivery(suppressed="shadow"), now=long_ago)).result()
    store.accept(acceptance(new_delivery("elsewhere", give_up_after=timedelta(days=99)), now=long_ago)).result()
    store.accept(acceptance(now=long_ago)).result()
    store.close()

    gateway = opened(config, watch=False)
    until(lambda: gateway.store.oldest().unmatched_at is None)
    assert gateway.store.oldest().ended_at is not None

    (config / "store.toml").write_text(f'[store]\nurl = "sqlite:///{tmp_path}/gateway.db"\nkeep = "19d"\n')
    assert gateway.reload().accepted
    until(lambda: gateway.store.oldest().ended_at is None)

    assert [one.channel for one in gateway.store.deliveries()] == ["elsewhere"]
    assert gateway.store.owed() == 1
    assert total(gateway.store.ledger()).accepted == 2


def test_a_gateway_whose_store_is_deleted_says_so_tells_nobody_twice_and_ends_quietly(
    write: Callable[..., Path],
    opened: Callable[..., Gateway],
    sent: Recording,
    until: Until,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway = opened(write(HANDLER), watch=False, drain_seconds=0.5)
    fail(gateway, "before")
    until(lambda: not gateway.store.owed())
    for path in tmp_path.glob("gateway.db*"):
        path.unlink()

    fail(gateway, "after")

    refusals = [record for record in caplog.records if "the store takes no changes" in record.message]
    assert len(refusals) == 1
    assert "taken away while open" in refusals[0].error  # type: ignore[attr-defined] # a field of ours
    gateway.close()
    assert [message.body for message in sent.messages] == ["before"]
    assert "notifications were lost" in caplog.text
    assert not (tmp_path / "gateway.db").exists()
