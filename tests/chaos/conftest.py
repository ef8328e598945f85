from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from chaos.cluster import Cluster, binaries
from chaos.shim import Shim, compiler
from chaos.world import Setting, World
from gateway.config.duration import parse_duration

STORM_SECONDS = 14.0
AFTER_SECONDS = 300.0
"""For all that is done once a long storm is over."""


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Of all dice in a test; the same seed throws the same again. Printed, and shown if the test fails."""
    given = request.config.getoption("--chaos-seed") or os.environ.get("GATEWAY_CHAOS_SEED")
    seed = int(given) if given else random.SystemRandom().randrange(1 << 24)
    print(f"GATEWAY_CHAOS_SEED={seed}")
    return seed


def soak(config: pytest.Config) -> float | None:
    """Seconds of the storms, if they are to take longer than usual."""
    given = config.getoption("--soak") or os.environ.get("GATEWAY_CHAOS_SOAK")
    return parse_duration(given).total_seconds() if given else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give storms the time they need."""
    seconds = soak(config)
    for item in items:
        if seconds is not None and "storm_seconds" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(seconds + AFTER_SECONDS), append=False)


@pytest.fixture
def storm_seconds(request: pytest.FixtureRequest) -> float:
    """How long a storm takes."""
    return soak(request.config) or STORM_SECONDS


@pytest.fixture
def make_world(tmp_path: Path, seed: int) -> Iterator[Callable[..., World]]:
    """Makes the world of a test: ``make_world(**more)``, fields of its :class:`Setting`."""
    with ExitStack() as worlds:

        def made(**more: Any) -> World:
            return worlds.enter_context(World(Setting(**{"folder": tmp_path, "seed": seed, **more})))

        yield made


@pytest.fixture
def shim(tmp_path: Path) -> Iterator[Shim]:
    """Counts what gateways under test ask of the disk, and sets their clock."""
    if compiler() is None:
        require_ci_to_have("no C compiler to build the shim with: install gcc")
    with Shim(tmp_path) as shim:
        yield shim


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server of our own."""
    if binaries() is None:
        require_ci_to_have("no PostgreSQL server is installed: install postgresql")
    with Cluster() as running:
        yield running


def require_ci_to_have(reason: str) -> None:
    """Skip the test here; in CI, where everything must be there, fail."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
