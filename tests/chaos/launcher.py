"""Runs the command line with what a test wants broken: ``python -m chaos.launcher SETTINGS run --config …``.

The switches are here and not in the gateway. What is patched must exist, or the process ends at once and says so.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Settings:
    """How a gateway under test differs from one in production.

    Attributes:
        breaker: attempts that park a channel, seconds until the first probe, and the longest pause, which is
            also the longest one that a service may ask for.
        node_ttl: seconds a node may be silent.
        mutant: the planted bug; ``""`` for none.
        pauses: the folder by which the test stops it at a point; ``""`` if it is not to be stopped.
        file_limit: bytes a file may grow to, as if the disk were full then; 0 for no limit.
    """

    breaker: tuple[int, float, float] = (5, 0.2, 2.0)
    node_ttl: float = 10.0
    mutant: str = ""
    pauses: str = ""
    file_limit: int = 0

    def written(self) -> str:
        """As an argument of the command line."""
        return json.dumps(asdict(self))

    @staticmethod
    def read(text: str) -> Settings:
        """What :meth:`written` wrote."""
        return Settings(**json.loads(text))


class Pauses:
    """Points at which a process can be stopped: it waits while a file of the point's name is there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    # in the process under test

    def pass_by(self, point: str) -> None:
        """Stop here if told so."""
        wanted = self._folder / point
        if wanted.exists():
            (self._folder / f"{point}.reached").touch()
            while wanted.exists():
                time.sleep(0.005)

    # in the test

    def set(self, point: str) -> None:
        """Have the process stop at ``point``."""
        (self._folder / point).touch()

    def lift(self, point: str) -> None:
        """Have it go on, and those after it."""
        (self._folder / point).unlink()
        (self._folder / f"{point}.reached").unlink(missing_ok=True)

    def reached(self, point: str) -> bool:
        """Whether it stands there."""
        return (self._folder / f"{point}.reached").exists()


def go_on(point: str) -> None:
    """Stop nowhere."""


def hurry(settings: Settings) -> None:
    """Shorten waits that would take longer than a test: nothing else differs."""
    from gateway.app import open_store
    from gateway.delivery.breaker import BreakerPolicy

    policy: Any = BreakerPolicy.__init__
    assert len(policy.__defaults__) == len(settings.breaker)
    policy.__defaults__ = tuple(settings.breaker)
    opening: Any = open_store
    assert "node_ttl" in opening.__kwdefaults__
    opening.__kwdefaults__["node_ttl"] = timedelta(seconds=settings.node_ttl)


def limit_files(size: int) -> None:
    """Let no file grow beyond ``size`` bytes; writing more fails as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def main() -> None:
    """Break what is to be broken, then be the gateway."""
    settings = Settings.read(sys.argv.pop(1))
    hurry(settings)
    if settings.pauses or settings.mutant:
        from chaos import mutants

        mutants.plant(settings.mutant, Pauses(Path(settings.pauses)).pass_by if settings.pauses else go_on)
    if settings.file_limit:
        limit_files(settings.file_limit)
    from gateway.cli import main as gateway

    gateway()


if __name__ == "__main__":
    main()
