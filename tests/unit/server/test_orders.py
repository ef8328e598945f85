"""Orders by HTTP, as far as the store has to do with them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from gateway.server.orders import carried_out
from gateway.store.opening import open_store
from gateway.store.store import Store
from gateway.testing.builders import acceptance, new_delivery

THERE = datetime(2031, 5, 1, tzinfo=UTC)


def test_what_is_ordered_is_due_by_the_clock_of_the_store(tmp_path: Path, monkeypatch) -> None:
    """This host may go by another: gateways on several hosts share one store."""
    store = open_store(f"sqlite:///{tmp_path / 'gateway.db'}")
    (delivery,) = store.accept(acceptance(new_delivery())).result().deliveries
    monkeypatch.setattr(store, "now", lambda: THERE)

    told = carried_out(store, Store.retry, delivery.id)

    assert told.due_at == told.updated_at == THERE
    store.close()
