"""Run in Prefect's own environment: its subscriber of events, as a program would use it. One line for each event."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta

from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter


async def main() -> None:
    wanted = EventFilter(
        event=EventNameFilter(prefix=["prefect.flow-run.", "prefect.task-run."]),
        occurred=EventOccurredFilter(since=datetime.now(UTC), until=datetime.now(UTC) + timedelta(days=1)),
    )
    async with get_events_subscriber(filter=wanted) as events:
        print("ready", flush=True)
        async for event in events:
            if "validated_state" in event.payload:
                sys.stdout.write(f"{event.id} {time.time() - event.occurred.timestamp():.6f}\n")
                sys.stdout.flush()


asyncio.run(main())
