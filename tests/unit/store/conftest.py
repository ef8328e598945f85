from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.store.opening import open_store
from gateway.store.store import Store


@pytest.fixture
def url(any_url: str) -> str:
    return any_url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = open_store(url)
    yield store
    store.close()
