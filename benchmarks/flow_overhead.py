"""What an attached gateway adds to a flow of 1,000 tasks that do nothing, and what the parts of that cost alone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

from benchmarks._population import conditions
from benchmarks._table import against, ratio, show
from benchmarks._timing import Took, in_turns
from gateway import Flow, Task, context
from gateway.app import Gateway
from gateway.channels.record import recording
from gateway.inprocess import observe
from gateway.states import Failed, Running, Success

HANDLERS = 100
WATCHED = 50
"""One task in so many makes a handler match as it ends: one transition in a hundred."""

AIM_US = 15

CHANNEL = '[channel.box]\nurl = "record://flow-overhead"\n'
UNMATCHED = '[[handler]]\nname = "handler-{number}"\nwhen = "{when}"\nto = "box"\nmessage = "{{{{ state.message }}}}"\n'
MATCHED = '[[handler]]\nname = "watched"\non = "task"\ntask = "watched"\nwhen = "state is finished"\nto = "box"\n'
PLAIN, ATTACHED, TELLING = "without a gateway", "attached, nothing matches", "attached, 1 % matches"
RUN = {"flow_name": "orders", "flow_run_id": "run-1", "task_full_name": "load", "task_run_id": "run-1/load-1"}


def main(quick: bool = False) -> None:
    tasks, rounds, calls = (100, 1, 200) if quick else (1_000, 9, 20_000)
    with opened() as unmatched, opened(MATCHED) as matched:
        show_flows(unmatched, matched, tasks, rounds)
        print()
        show_parts(unmatched, calls, rounds)


@contextmanager
def opened(*more: str) -> Iterator[Gateway]:
    """A gateway with ``HANDLERS`` handlers that no transition here meets, and those in ``more``."""
    population = conditions(HANDLERS, 1, Random(HANDLERS))
    handlers = [UNMATCHED.format(number=number, when=one.when) for number, one in enumerate(population)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config" / "gateway.toml"
        file.parent.mkdir()
        file.write_text("".join([CHANNEL, *handlers[len(more) :], *more]))
        with Gateway(file, watch=False) as gateway:
            yield gateway


def show_flows(unmatched: Gateway, matched: Gateway, tasks: int, rounds: int) -> None:
    variants: dict[str, list[Gateway]] = {PLAIN: [], ATTACHED: [unmatched], TELLING: [matched]}
    recording("flow-overhead").clear()
    times = in_turns({name: flow(gateways, tasks).run for name, gateways in variants.items()}, rounds)
    matched.drain()
    told = len(recording("flow-overhead").messages) // rounds
    assert told == len(range(0, tasks, WATCHED))
    show(
        f"a flow of {tasks:,} tasks, {transitions_of(tasks):,} transitions, {HANDLERS} handlers; processor time in (…)",
        ("", "ms", "times", "added µs/transition", "(µs)", "added ms/match", "aim"),
        rows(times, transitions_of(tasks), told),
    )


def rows(times: Mapping[str, Took], transitions: int, told: int) -> Iterator[tuple[str | float, ...]]:
    plain, attached = times[PLAIN], times[ATTACHED]
    for name, took in times.items():
        added, busy = (1e6 * more / transitions for more in (took.wall - plain.wall, took.processor - plain.processor))
        per_match = 1e3 * (took.wall - attached.wall) / told
        yield (
            name,
            1e3 * took.wall,
            ratio(took.wall, plain.wall),
            added,
            busy,
            per_match if name == TELLING else "",
            against(AIM_US, busy, "µs") if name == ATTACHED else "",
        )


def transitions_of(tasks: int) -> int:
    """Each of the tasks, and the flow, starts and ends."""
    return 2 * (tasks + 1)


def flow(gateways: list[Gateway], tasks: int) -> Flow:
    names = ["load" if number % WATCHED else "watched" for number in range(tasks)]
    return Flow("orders", tasks=[Task(name, state_handlers=gateways) for name in names], state_handlers=gateways)


def show_parts(gateway: Gateway, calls: int, rounds: int) -> None:
    task, old, good, bad = Task("load"), Running(), Success("Task run succeeded."), Failed("no route")
    with context(**RUN):
        seen = observe(task, old, good)
        parts: dict[str, Callable[[], object]] = {
            "observe, of a success": partial(observe, task, old, good),
            "observe, of a failure": partial(observe, task, old, bad),
            "match": partial(gateway.ruleset.match, seen),
            "handle: match, nobody to tell": partial(gateway.handle, seen),
            "the gateway as a state handler": partial(gateway, task, old, good),
        }
        times = in_turns({name: partial(repeat, part, calls) for name, part in parts.items()}, rounds)
    show(
        "the parts of a transition that matches nothing, µs of processor time",
        ("", "µs"),
        [(name, 1e6 * took.processor / calls) for name, took in times.items()],
    )


def repeat(work: Callable[[], object], times: int) -> None:
    for _ in range(times):
        work()


if __name__ == "__main__":
    main()
