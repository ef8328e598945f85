"""Flows of Prefect 3 with our hooks on them; run by test_prefect3_hooks.py in an environment that has Prefect.

``python prefect3_hooked.py FILE SCENARIO …`` appends what the hooks tell to FILE, as lines of JSON.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from prefect import flow, tags, task, unmapped
from prefect.futures import wait
from prefect.states import Cancelled
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

from gateway.encoding import encode
from gateway.prefect import Hooks
from gateway.transition import Transition

FILE = Path(sys.argv[1])


class Lines:
    """A sink: appends each transition to a file, in one write, so that processes can share it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def take(self, transitions: list[Transition]) -> None:
        with self.path.open("a") as file:
            file.write("".join(encode(one) + "\n" for one in transitions))


class Broken:
    def take(self, transitions: list[Transition]) -> None:
        raise OSError("no room")


hooks = Hooks(Lines(FILE), ui="http://prefect.test")


def note(text: str) -> None:
    with FILE.with_suffix(".notes").open("a") as file:
        file.write(text + "\n")


def own_hook(thing, run, state):
    note(f"own hook of {thing.name}: {state.name}")


def never(task, run, state):
    note(f"asked whether to retry {task.name}")
    return False


# attached before its tasks are defined
@hooks.attach
@flow(on_completion=[own_hook])
def good(customer: str) -> int:
    return double(len(customer)) + boxes["one"].submit(1).result()


@task(name="Double it", tags={"etl"})
def double(number: int) -> int:
    return number * 2


@task
def one(number: int) -> int:
    return number


boxes = {"one": one}


@task(retries=1, retry_delay_seconds=0.2, on_failure=[own_hook])
def broken(password: str) -> None:
    raise ValueError("no such table")


@task(retries=2)
def at_once(path: Path) -> None:
    if not path.exists():
        path.touch()
        raise OSError("try me again")


@task(retries=3, retry_condition_fn=never)
def hopeless() -> None:
    raise LookupError("gone")


@flow
def bad(customer: str) -> None:
    with tags("nightly"):
        broken("hunter2")


@flow
def quick(path: Path) -> None:
    at_once(path)


@flow
def asked() -> None:
    hopeless()


@task(retries=1, retry_delay_seconds=[0.1])
def flaky(marker: str) -> None:
    path = Path(marker)
    path.write_text(path.read_text() + "x" if path.exists() else "x")
    if len(path.read_text()) < 4:
        raise RuntimeError(f"attempt {len(path.read_text())}")


@flow(retries=1, retry_delay_seconds=0)
def twice(marker: str) -> None:
    flaky(marker)


@task(retries=1, retry_delay_seconds=0.1)
def odd(number: int, marker: str) -> int:
    path = Path(f"{marker}.{number}")
    if number % 2 and not path.exists():
        path.touch()
        raise ValueError(f"{number} is odd")
    return number


@flow(task_runner=ThreadPoolTaskRunner(max_workers=4))
def mapped(marker: str) -> None:
    wait(odd.map([1, 2, 3, 4], unmapped(marker)))


@task(retries=1, retry_delay_seconds=0.1)
async def nap(marker: str) -> None:
    await asyncio.sleep(0.01)
    if not Path(marker).exists():
        Path(marker).touch()
        raise ValueError("not yet")


@flow
async def sleepy(marker: str) -> None:
    await asyncio.gather(nap(marker), nap(marker))


@flow(timeout_seconds=0.2)
async def slow() -> None:
    await asyncio.sleep(5)


@flow
def crashing() -> None:
    raise SystemExit(3)


@flow
def inner() -> None:
    one(3)


@flow
def outer() -> None:
    inner()


@flow
def stopped() -> object:
    return Cancelled(message="by hand")


@flow(task_runner=ProcessPoolTaskRunner(max_workers=2))
def elsewhere(marker: str) -> None:
    wait(odd.map([1, 2], unmapped(marker)))


for one_flow in (bad, quick, asked, twice, mapped, sleepy, slow, crashing, outer, stopped, elsewhere):
    hooks.attach(one_flow)
    hooks.attach(one_flow)  # twice is once


@hooks.attach
@task(name="Alone, without a flow", retries=1)
def alone(marker: str) -> None:
    path = Path(marker)
    if not path.exists():
        path.touch()
        raise ValueError("once")


def willing(task, run, state):
    note(f"asked whether to retry {task.name}")
    return True


@task(retries=1, **hooks.of_task)
def by_arguments(marker: str) -> None:
    path = Path(marker)
    if not path.exists():
        path.touch()
        raise ValueError("first")


@task(
    retries=1,
    retry_condition_fn=hooks.retry_condition(willing),
    on_completion=[hooks],
    on_failure=[hooks],
)
def by_condition(marker: str) -> None:
    path = Path(marker + ".2")
    if not path.exists():
        path.touch()
        raise ValueError("second")


def plainly(marker: str) -> None:
    """Is a flow by its arguments, and its copy by its options."""
    by_arguments.with_options(name="renamed")(marker)
    by_condition(marker)


by_options = flow(name="by options", **hooks.of_flow)(plainly).with_options(description="a copy keeps its hooks")


@flow
def careless() -> str:
    unheard()
    return "fine"


@task(retries=1)
def unheard() -> None:
    return None


Hooks(Broken()).attach(careless)


def run(name: str) -> None:
    marker = str(FILE.with_suffix(f".{name}"))
    match name:
        case "good" | "bad":
            globals()[name]("acme", return_state=True)
        case "quick":
            quick(Path(marker), return_state=True)
        case "twice" | "mapped" | "elsewhere" | "by_options" | "alone":
            globals()[name](marker, return_state=True)
        case "sleepy":
            asyncio.run(sleepy(marker, return_state=True))
        case "slow":
            asyncio.run(slow(return_state=True))
        case "crashing":
            try:
                crashing()
            except SystemExit:
                note("left by SystemExit")
        case "careless":
            note(f"careless is {careless()}")
        case _:
            globals()[name](return_state=True)


if __name__ == "__main__":
    for scenario in sys.argv[2:]:
        try:
            run(scenario)
        except Exception as error:
            note(f"{scenario} raised {type(error).__name__}: {error}")
