"""Run by test_prefect1.py in Prefect 1's environment: a whole gateway on real Prefect 1 tasks and flows.

Arguments: the folder of our own dependencies, the configuration, the recording channel's name. Prints
what the channel was sent, as JSON.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta

sys.path.append(sys.argv[1])  # behind Prefect's own: both need some of the same packages

import cloudpickle
from prefect import Flow, task
from prefect.engine import signals
from prefect.executors import LocalDaskExecutor

from gateway import Gateway
from gateway.channels import recording

gateway = Gateway(sys.argv[2], watch=False)
left = [1]


@task(max_retries=1, retry_delay=timedelta(seconds=0), state_handlers=[gateway], tags=["prod"])
def load() -> str:
    if left:
        left.pop()
        raise ValueError("no route")
    return "loaded"


@task(state_handlers=[cloudpickle.loads(cloudpickle.dumps(gateway.handler("rejected")))])
def check() -> None:
    failure = signals.FAIL("too many rejected")
    failure.rows = 17
    raise failure


with Flow("etl", state_handlers=[gateway]) as flow:
    load()
    check()

flow.run(executor=LocalDaskExecutor(scheduler="threads"))
gateway.drain()
check.state_handlers[0].fn.gateway.close()
gateway.close()
sent = [f"{message.title} | {message.body}" for message in recording(sys.argv[3]).messages]
sys.stdout.write(json.dumps(sorted(sent)))
