"""A script that tells a gateway how it fares: every step is a task, and what goes wrong is told as it happens."""

from __future__ import annotations

import sys

from gateway import Flow, task
from gateway.client import Client

client = Client()


@task(state_handlers=[client])
def extract():
    return [120, 80, -5]


@task(state_handlers=[client], tags=["prod"])
def check(amounts):
    if bad := [amount for amount in amounts if amount < 0]:
        raise ValueError(f"{len(bad)} amounts are negative: {bad}")


with Flow("nightly", state_handlers=[client]) as nightly:
    check(extract())

if __name__ == "__main__":
    state = nightly.run()
    sys.exit(0 if state.is_successful() else 1)
