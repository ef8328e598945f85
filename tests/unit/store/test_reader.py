"""A store opened for questions alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import StoreError
from gateway.store.opening import has_store, open_reader, open_store
from gateway.testing.builders import acceptance, new_delivery


def test_a_reader_sees_what_a_running_gateway_commits_and_is_no_node(url: str) -> None:
    store = open_store(url)
    reader = open_reader(url)

    [delivery] = store.accept(acceptance(new_delivery())).result().deliveries

    assert [one.id for one in reader.deliveries()] == [delivery.id]
    assert len(reader.nodes()) == 1
    reader.close()
    store.close()


def test_a_transition_is_found_by_its_id(url: str) -> None:
    store = open_store(url)
    store.accept(acceptance(new_delivery(), id="one")).result()

    found = store.transition("one")

    assert found is not None
    assert found.id == "one"
    assert store.transition("two") is None
    store.close()


def test_a_reader_makes_no_store(url: str, tmp_path: Path) -> None:
    assert not has_store(url)

    with pytest.raises(StoreError, match="there is no store"):
        open_reader(url)

    assert not has_store(url)
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_starts_at_the_base(tmp_path: Path) -> None:
    open_store("sqlite:///var/gateway.db", base=tmp_path).close()

    assert (tmp_path / "var" / "gateway.db").exists()
    open_reader("sqlite:///var/gateway.db", base=tmp_path).close()
