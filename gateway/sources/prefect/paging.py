"""Paging: state changes in the order they occurred, page by page, whatever is written meanwhile.

The server's own pages are counted off, and so repeat or skip what others insert or delete between two questions. So
each question asks from the last instant of the answer before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from gateway.sources.prefect.api import LARGEST_PAGE, Api, Page, TooLargeError
from gateway.sources.prefect.filters import changes
from gateway.sources.prefect.instants import latest


async def pages(api: Api, since: datetime) -> AsyncIterator[Sequence[Any]]:
    """The events from ``since`` on, that instant included. Some come twice: each page begins where the last ended."""
    page = await _ask(api, since)
    while True:
        yield page.events
        if not page.token or not page.events:
            return
        last = latest(page.events)
        if last is not None and last > since:
            since = last
            page = await _ask(api, since)
        else:  # a whole page of one instant: asking from there would give it again for ever
            page = await api.events_behind(page.token)


async def _ask(api: Api, since: datetime) -> Page:
    """A page; a smaller one if the events are too large to come together."""
    limit = LARGEST_PAGE
    while True:
        try:
            return await api.events(changes(since), limit)
        except TooLargeError:
            if limit == 1:
                raise
            limit = max(1, limit // 7)
