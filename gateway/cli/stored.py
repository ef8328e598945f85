"""The store that a configuration declares, as the commands reach it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.app import declared_address, open_declared_store
from gateway.cli.configuration import load_config
from gateway.config.loader import Loaded
from gateway.store.migration import Migration
from gateway.store.opening import has_store, migrate_store, open_reader
from gateway.store.questions import Questions
from gateway.store.store import Store


@contextmanager
def reader(config: Path) -> Iterator[Questions | None]:
    """The store of a configuration, for questions; ``None`` where no gateway has made it yet."""
    loaded = load_config(config, about="store")
    if not _exists(loaded):
        yield None
        return
    with closing(open_reader(declared_address(loaded), base=loaded.sources.base)) as opened:
        yield opened


@contextmanager
def writer(config: Path) -> Iterator[Store | None]:
    """The store of a configuration, for changes; ``None`` where no gateway has made it yet."""
    loaded = load_config(config, about="store")
    if not _exists(loaded):
        yield None
        return
    with closing(open_declared_store(loaded)) as opened:
        yield opened


def migrated(config: Path) -> Migration:
    """Bring the store of a configuration up to date, or make it."""
    loaded = load_config(config, about="store")
    return migrate_store(declared_address(loaded), base=loaded.sources.base)


def _exists(loaded: Loaded) -> bool:
    return has_store(declared_address(loaded), base=loaded.sources.base)
