from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sidecar import Sidecar


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Sidecar]:
    made = Sidecar(tmp_path / "sidecar")
    yield made
    made.stop()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"
