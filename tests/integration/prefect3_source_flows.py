"""Real flows of Prefect 3, run by tests in its environment: the first argument says which."""

from __future__ import annotations

import sys
import time

from prefect import flow, get_run_logger, task


@task
def double(number: int) -> int:
    return number * 2


@task
def nap(seconds: float) -> None:
    time.sleep(seconds)


@task(retries=1, retry_delay_seconds=0.1)
def flaky(attempts: list[int]) -> int:
    attempts.append(1)
    if len(attempts) == 1:
        raise ValueError("the first attempt fails")
    return len(attempts)


@flow
def burst(count: int = 600) -> None:
    double.map(list(range(int(count)))).result()


@flow
def slow(count: int = 20, seconds: float = 0.4) -> None:
    """Tasks one after the other, within a subflow the first."""
    within()
    for _ in range(int(count)):
        nap(float(seconds))


@flow
def within() -> None:
    double(2)


@flow(retries=1, retry_delay_seconds=0.1)
def mixed() -> None:
    double(1)
    flaky([])
    broken(return_state=True)
    within()


@task(tags=["prod"])
def broken() -> None:
    raise RuntimeError("the table is gone")


@flow(name="orders")
def failing(customer: str = "globex", rows: int = 17) -> None:
    get_run_logger().info("reading %s rows of %s", rows, customer)
    raise ValueError("the table is gone")


@flow
def hanging() -> None:
    time.sleep(600)


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    chosen = {"burst": burst, "slow": slow, "mixed": mixed, "failing": failing, "hanging": hanging}[name]
    chosen(*arguments, return_state=True)
