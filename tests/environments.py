"""Environments of their own for the engines that tests run: each is made on first use and kept for the next time.

An engine's pins are in ``environments/NAME.txt``, as are those of the linters of deployments.
``python -m tests.environments`` makes all of them in advance, or those it is given the names of.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

PINS = Path(__file__).with_name("environments")
PYTHONS = {"prefect1": (3, 11)}
"""The newest Python an engine runs on, if it is not any."""

SLOWEST_MAKE = 800


class MissingError(Exception):
    """An environment could not be made, and why."""


def interpreter(name: str) -> Path:
    """The Python of the environment ``name``.

    Raises:
        MissingError: it is not there and cannot be made.
    """
    requirements = PINS / f"{name}.txt"
    folder = _cache() / f"{name}-{sha256(requirements.read_bytes()).hexdigest()[:8]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever makes it, the others wait for it
        if not (folder / "made").exists():
            _make(name, folder, requirements)
            (folder / "made").touch()
    return folder / "bin" / "python"


def required(name: str) -> Path:
    """As :func:`interpreter`; without it, the test fails in CI and is skipped elsewhere."""
    try:
        return interpreter(name)
    except (MissingError, OSError, subprocess.TimeoutExpired) as error:
        message = f"no environment for {name}: {error}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


def _cache() -> Path:
    chosen, cache = os.environ.get("GATEWAY_TEST_ENVIRONMENTS"), os.environ.get("XDG_CACHE_HOME")
    return Path(chosen) if chosen else Path(cache or Path.home() / ".cache") / "gateway" / "environments"


def _make(name: str, folder: Path, requirements: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _call(_python(name), "-m", "venv", folder)
    _call(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "-r", requirements)


def _python(name: str) -> str:
    newest = PYTHONS.get(name, sys.version_info[:2])
    python = sys.executable if sys.version_info[:2] <= newest else shutil.which(f"python{newest[0]}.{newest[1]}")
    if python is None:
        raise MissingError(f"there is no python{newest[0]}.{newest[1]}")
    return python


def _call(*command: object) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=SLOWEST_MAKE)
    if done.returncode:
        raise MissingError(f"{' '.join(words[1:4])} failed: {done.stderr.strip()[-500:]}")


if __name__ == "__main__":
    with ThreadPoolExecutor() as pool:
        for made in pool.map(interpreter, sys.argv[1:] or sorted(path.stem for path in PINS.glob("*.txt"))):
            print(made)
