"""Every benchmark runs, with numbers too small to mean anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import environments

ROOT = Path(__file__).parent.parent
NAMES = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if not path.stem.startswith("_"))

ENGINES = {"prefect_source": "prefect3"}
"""Benchmarks of an engine, and the environment that has it."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=55)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_prints_a_table(name: str) -> None:
    if name in ENGINES:
        environments.required(ENGINES[name])
    done = run("--quick", name)

    assert done.returncode == 0, done.stderr
    heads, *rows = [line for line in done.stdout.splitlines() if line.strip()]
    assert heads
    assert any(character.isdigit() for row in rows for character in row)


def test_a_name_that_no_benchmark_has_is_refused_with_those_there_are() -> None:
    done = run("transition_cots")

    assert done.returncode == 2
    assert "there are client_overhead" in done.stderr
