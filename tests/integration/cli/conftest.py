"""The command line inside this process, in a folder of its own. As processes, the commands run in tests/acceptance."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.cli import main


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


Gateway = Callable[..., Ended]


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """Run ``gateway ARGUMENTS`` in ``tmp_path`` and return how it ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def running(*arguments: str, input: str = "") -> Ended:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(input.encode()), "utf-8"))
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main(arguments)
        return Ended(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    logger = logging.getLogger("gateway")
    level, handlers = logger.level, list(logger.handlers)
    yield running
    logger.setLevel(level)
    logger.handlers[:] = handlers


@pytest.fixture
def declare(tmp_path: Path) -> Callable[[str], Path]:
    """Write ``config/gateway.toml`` and return its path."""

    def written(text: str) -> Path:
        path = tmp_path / "config" / "gateway.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return written


@pytest.fixture
def project(tmp_path: Path, gateway: Gateway) -> Path:
    """A folder that holds the starting configuration."""
    assert gateway("init").returncode == 0
    return tmp_path
