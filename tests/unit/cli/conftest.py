from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def logger() -> Iterator[logging.Logger]:
    """The package's logger, put back afterwards as it was: the command line configures it."""
    logger = logging.getLogger("gateway")
    level, handlers, filters = logger.level, list(logger.handlers), list(logger.filters)
    yield logger
    logger.setLevel(level)
    logger.handlers[:], logger.filters[:] = handlers, filters
