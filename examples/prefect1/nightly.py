"""A flow of Prefect 1 with a gateway in its process: the same object for the flow and for every task.

``python nightly.py [threads | processes]`` runs it, with Dask's threads or processes if you like.
"""

import sys
from datetime import timedelta
from pathlib import Path

from prefect import Flow, Parameter, task
from prefect.engine import signals
from prefect.executors import LocalDaskExecutor, LocalExecutor

from gateway import Gateway

gateway = Gateway(Path(__file__).with_name("gateway.toml"))


@task(state_handlers=[gateway], max_retries=1, retry_delay=timedelta(seconds=0))
def extract(day):
    """The numbers of a day; they are never there."""
    raise ConnectionError(f"no route to the orders of {day}")


@task(state_handlers=[gateway], tags=["check"])
def check(number):
    """Refuse odd numbers, and leave out the number 4."""
    if number == 4:
        raise signals.SKIP("4 is left out")
    if number % 2:
        failure = signals.FAIL(f"{number} is odd")
        failure.rows = 100 + number
        raise failure
    return number


with Flow("nightly", state_handlers=[gateway]) as flow:
    extract(Parameter("day", default="monday"))
    check.map([1, 2, 3, 4])

if __name__ == "__main__":
    scheduler = sys.argv[1] if len(sys.argv) > 1 else ""
    flow.run(executor=LocalDaskExecutor(scheduler=scheduler) if scheduler else LocalExecutor())
