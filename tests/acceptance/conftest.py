"""The command as users run it: a process of its own, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SECONDS = 30
PRIVATE = ("ONCALL_SLACK_URL", "MAIL_USER", "MAIL_PASS", "COLUMNS", "FORCE_COLOR", "PYTHONWARNINGS")

Gateway = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**more: str) -> dict[str, str]:
    """The environment of a process under test: no secret set, no colours, a stable width."""
    kept = {name: value for name, value in os.environ.items() if name not in PRIVATE}
    return {**kept, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONUTF8": "1", **more}


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    """Run ``gateway ARGUMENTS`` in ``tmp_path`` and return how it ended."""

    def running(*arguments: str, input: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            input=input,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(**env),
            timeout=SECONDS,
            check=False,
        )

    return running


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Run Python text in ``tmp_path`` and return how it ended."""

    def running(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", text],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(),
            timeout=SECONDS,
            check=False,
        )

    return running


@pytest.fixture
def declare(tmp_path: Path) -> Callable[[str], Path]:
    """Write ``config/gateway.toml`` and return its path."""

    def written(text: str) -> Path:
        path = tmp_path / "config" / "gateway.toml"
        path.parent.mkdir(exist_ok=True)
        fresh = path.with_name(".gateway.toml")
        fresh.write_text(text)
        fresh.replace(path)
        return path

    return written


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that holds the starting configuration."""
    for part in ("config", "templates"):
        shutil.copytree(CHECKOUT / part, tmp_path / part)
    return tmp_path
