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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several processes (``-n``), have each file in one of them, and all of chaos in one: it loads the machine."""
    for item in items:
        group = "chaos" if item.get_closest_marker("chaos") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


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


@pytest.fixture(scope="session")
def postgres_database(postgres: psycopg.Connection) -> Iterator[str]:
    """The address of a database for all tests of a run. To make one takes many times as long as to empty it."""
    name = f"gateway_test_{uuid4().hex[:12]}"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    yield f"{POSTGRES.rpartition('/')[0]}/{name}"
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(postgres_database: str) -> str:
    """The address of an empty database, to which nobody is connected."""
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        connection.execute(f"SELECT pg_terminate_backend(pid, 5000) {others}")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return postgres_database


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of a file that is not there yet."""
    return f"sqlite:///{tmp_path / 'gateway.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest) -> str:
    """The address of an empty store, on either database."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url
