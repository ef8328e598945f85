from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

POSTGRES = os.environ.get("GATEWAY_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
"""A server on which the tests may create databases; each makes and drops its own."""


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


@pytest.fixture(scope="session")
def postgres() -> Iterator[psycopg.Connection]:
    """A connection to the server for tests, to make databases with. Without a server, tests are skipped; not in CI."""
    try:
        connection = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        reason = f"no PostgreSQL server for tests (GATEWAY_TEST_POSTGRES): {error}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with connection:
        yield connection


@pytest.fixture
def postgres_url(postgres: psycopg.Connection) -> Iterator[str]:
    """The address of an empty database of the test's own."""
    name = f"gateway_test_{uuid4().hex[:12]}"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    yield f"{POSTGRES.rpartition('/')[0]}/{name}"
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of a file that is not there yet."""
    return f"sqlite:///{tmp_path / 'gateway.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest) -> str:
    """The address of an empty store, on either database."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url
