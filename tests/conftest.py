from __future__ import annotations

import time
from collections.abc import Callable

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos")
    group.addoption("--chaos-seed", type=int, help="the dice of tests/chaos; also GATEWAY_CHAOS_SEED")
    group.addoption("--soak", metavar="DURATION", help="a longer storm, such as 20m; also GATEWAY_CHAOS_SOAK")


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait until something holds, ``until(lambda: …)``; fail when it does not in time."""

    def wait(holds: Callable[[], object], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.005)

    return wait
