"""Hooks inside real flows of Prefect 3, compared with what its server tells of the same runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.channels import recording
from gateway.delivery.payload import decode
from gateway.sources.prefect.mapping import transition_of
from gateway.transition import Transition
from tests import environments
from tests.integration.prefect3_server import PrefectServer
from tests.sidecar import Sidecar

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "prefect-hooks"
SCENARIOS = (
    *("good", "bad", "quick", "asked", "twice", "mapped", "sleepy"),
    *("slow", "crashing", "outer", "stopped", "elsewhere", "by_options", "alone", "careless"),
)


@dataclass(frozen=True, slots=True)
class Evening:
    """What happened while all flows ran: by our hooks, by the server's events, and by themselves."""

    told: list[Transition]
    events: Mapping[str, Transition]
    notes: list[str]
    output: str

    def of_flow(self, name: str) -> list[Transition]:
        """What hooks told of one flow and its tasks."""
        return [one for one in self.told if one.flow.name == name]


@pytest.fixture(scope="module")
def python() -> Path:
    return environments.required("prefect3")


@pytest.fixture(scope="module")
def server(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    made = PrefectServer(python, tmp_path_factory.mktemp("prefect"))
    try:
        made.start()
        yield made
    finally:
        made.close()


def run(server: PrefectServer, python: Path, *command: object, **environment: str) -> str:
    """Run a script in the environment of Prefect, with this package on its path; returns what it printed."""
    done = subprocess.run(
        [str(python), *map(str, command)],
        env=server.environment() | {"PYTHONPATH": str(ROOT), "PREFECT_LOGGING_LEVEL": "WARNING"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def evening(server: PrefectServer, python: Path, tmp_path_factory: pytest.TempPathFactory) -> Evening:
    file = tmp_path_factory.mktemp("told") / "told.jsonl"
    output = run(server, python, Path(__file__).with_name("prefect3_hooked.py"), file, *SCENARIOS)
    told = [decode(line) for line in file.read_text().splitlines()]
    wanted = {one.id for one in told if not is_after_retry_at_once(one)}
    return Evening(told, events_of(server, wanted), file.with_suffix(".notes").read_text().splitlines(), output)


def events_of(server: PrefectServer, wanted: set[str]) -> Mapping[str, Transition]:
    """The server's events as transitions; it writes them a little later than they happen."""
    deadline = time.monotonic() + 20
    while True:
        found = {one.id: one for one in map(transition_of, all_events(server)) if one is not None}
        if wanted <= found.keys() or time.monotonic() > deadline:
            return found
        time.sleep(0.3)


def all_events(server: PrefectServer) -> list[Any]:
    prefixes = ["prefect.flow-run.", "prefect.task-run."]
    page = server.ask("POST", "/events/filter", json={"limit": 50, "filter": {"event": {"prefix": prefixes}}})
    found = page["events"]
    while page["next_page"]:
        page = server.ask("GET", page["next_page"].removeprefix(server.api))
        found += page["events"]
    return list(found)


def is_after_retry_at_once(one: Transition) -> bool:
    """The second of the two changes that hooks see where a retry has no delay; the server tells only the first."""
    is_at_once = one.obj.name in ("at_once", "renamed", "Alone, without a flow")
    return is_at_once and one.state.name == "Retrying" and one.state.type == "Running"


def test_hooks_and_events_give_the_same_change_the_same_id(evening: Evening) -> None:
    alone = [one for one in evening.told if one.id not in evening.events]

    assert [is_after_retry_at_once(one) for one in alone] == [True] * 3
    assert len({one.id for one in evening.told}) == len(evening.told)


@pytest.mark.parametrize(
    "read",
    [
        lambda one: one.kind,
        lambda one: (one.state.type, one.state.name),
        lambda one: one.state.run_count,
        lambda one: one.state.final,
        lambda one: (one.obj.name, one.obj.run_name, one.obj.run_id),
        lambda one: one.obj.tags,
        lambda one: (one.flow.name, one.flow.run_name, one.flow.run_id),
        lambda one: one.task and one.task.max_retries,
        lambda one: one.task and one.task.started_at,
    ],
    ids=["kind", "state", "run_count", "final", "obj", "tags", "flow", "max_retries", "started_at"],
)
def test_hooks_and_events_say_the_same(evening: Evening, read: Callable[[Transition], Any]) -> None:
    differing = [
        (one.obj.name, one.state.name, read(one), read(evening.events[one.id]))
        for one in evening.told
        if one.id in evening.events and read(one) != read(evening.events[one.id])
    ]

    assert differing == []


def test_the_state_before_is_the_one_the_server_tells_where_it_is_told(evening: Evening) -> None:
    pairs = [(one.old_state, evening.events[one.id].old_state) for one in evening.told if one.id in evening.events]

    assert [(old.type, theirs and theirs.type) for old, theirs in pairs if old] == [
        (theirs and theirs.type, theirs and theirs.type) for old, theirs in pairs if old
    ]


@pytest.mark.parametrize(
    ("flow", "retries"), [("bad", 1), ("quick", 1), ("twice", 2), ("mapped", 2), ("sleepy", 1), ("elsewhere", 1)]
)
def test_each_retry_of_a_task_is_told_with_its_error(evening: Evening, flow: str, retries: int) -> None:
    told = [one for one in evening.of_flow(flow) if one.state.is_retrying() and one.kind == "task"]

    assert len(told) == retries
    for one in told:
        assert one.state.result["type"] in {"ValueError", "OSError", "RuntimeError"}
        assert "Traceback" in one.state.result["traceback"]
        assert one.state.run_count == 1
        assert one.state.start_time is not None
        assert one.id in evening.events


def test_an_exception_is_told_whole(evening: Evening) -> None:
    (failed,) = [one for one in evening.of_flow("bad") if one.state.is_failed() and one.kind == "task"]

    assert failed.state.result["type"] == "ValueError"
    assert failed.state.result["message"] == "no such table"
    assert 'raise ValueError("no such table")' in failed.state.result["traceback"]
    assert failed.state.run_count == 2


def test_parameters_and_results_are_told(evening: Evening) -> None:
    ended = {(one.kind, one.obj.name): one for one in evening.of_flow("good") if one.state.is_finished()}

    assert ended["flow", "good"].flow.parameters == {"customer": "acme"}
    assert ended["task", "Double it"].obj.parameters == {"number": 4}
    assert ended["task", "Double it"].state.result == 8
    assert ended["task", "one"].flow.parameters == {"customer": "acme"}
    assert ended["task", "one"].obj.url.startswith("http://prefect.test/runs/task-run/")


def test_an_end_of_each_kind_is_told(evening: Evening) -> None:
    ends = {name: [one.state.type for one in evening.of_flow(name) if one.kind == "flow"] for name in SCENARIOS}

    assert ends["slow"] == ["Running", "TimedOut"]
    assert ends["crashing"] == ["Running", "Crashed"]
    assert ends["outer"] == ["Running", "Success"]
    assert ends["twice"] == ["Running", "Running", "Success"]
    assert [one.state.type for one in evening.of_flow("inner")] == ["Running", "Running", "Success", "Success"]


def test_what_hooks_cannot_see_is_what_the_page_says(evening: Evening) -> None:
    seen = {one.id for one in evening.told}
    runs = {one.obj.run_id for one in evening.told if one.obj.name != "by_condition"}  # it has not all hooks
    unseen = {
        (one.kind, one.state.name) for id, one in evening.events.items() if id not in seen and one.obj.run_id in runs
    }

    assert unseen == {("flow", "Pending"), ("task", "Pending"), ("flow", "AwaitingRetry"), ("flow", "Cancelled")}


def test_hooks_and_conditions_of_ones_own_stay(evening: Evening) -> None:
    assert "own hook of good: Completed" in evening.notes
    assert evening.notes.count("own hook of broken: Failed") == 1
    assert evening.notes.count("asked whether to retry hopeless") == 1
    assert [one.state.type for one in evening.of_flow("asked") if one.kind == "task"] == ["Running", "Failed"]


def test_hooks_can_be_written_as_arguments_and_stay_with_copies(evening: Evening) -> None:
    assert [(one.obj.name, one.state.type) for one in evening.of_flow("by options")] == [
        ("by options", "Running"),
        *[("renamed", "Running"), ("renamed", "Retrying"), ("renamed", "Running"), ("renamed", "Success")],
        *[("by_condition", "Retrying"), ("by_condition", "Success")],
        ("by options", "Success"),
    ]
    assert evening.notes.count("asked whether to retry by_condition") == 1


def test_a_task_without_a_flow_is_told(evening: Evening) -> None:
    told = [one for one in evening.told if one.obj.name == "Alone, without a flow"]

    assert [one.state.type for one in told] == ["Running", "Retrying", "Running", "Success"]
    assert {(one.flow.name, one.flow.run_id, one.obj.flow) for one in told} == {("", "", None)}


def test_a_sink_that_fails_does_no_harm(evening: Evening) -> None:
    assert "careless is fine" in evening.notes
    assert evening.of_flow("careless") == []
    assert evening.output.count("a state change was not told") == 4


def test_both_together_tell_once(evening: Evening, tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        f'[store]\nurl = "sqlite:///{tmp_path}/gateway.db"\n[channel.box]\nurl = "record://{tmp_path.name}"\n'
        '[[handler]]\nname = "told"\nto = "box"\n'
    )
    gateway = Gateway(config, watch=False)
    try:
        gateway.take(evening.told, kept=True).result()
        again = gateway.take(list(evening.events.values()), kept=True).result()
        assert sum(one.duplicate for one in again) == len(evening.told) - 3  # the second steps of retries at once
    finally:
        gateway.close()
    assert len(recording(tmp_path.name).messages) == len({one.id for one in evening.told} | evening.events.keys())


def test_a_run_that_is_cancelled_and_one_that_is_killed_are_told_by_whoever_served_them(
    server: PrefectServer, python: Path, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    settings = {"PYTHONPATH": str(ROOT), "TOLD": str(told), "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    serving = subprocess.Popen(
        [str(python), str(Path(__file__).with_name("prefect3_served.py"))],
        env=server.environment() | settings,
        start_new_session=True,
    )
    try:
        deployment = first(lambda: server.ask("POST", "/deployments/filter", json={}))[0]["id"]
        scheduled = {"state": {"type": "SCHEDULED"}}
        path = f"/deployments/{deployment}/create_flow_run"
        cancelled, killed = (server.ask("POST", path, json=scheduled)["id"] for _ in range(2))
        first((tmp_path / cancelled).exists)
        pid = int(first(lambda: (tmp_path / killed).exists() and (tmp_path / killed).read_text()))
        server.ask("POST", f"/flow_runs/{cancelled}/set_state", json={"state": {"type": "CANCELLING"}})
        os.kill(pid, signal.SIGKILL)
        lines = first(lambda: len(lines := told.read_text().splitlines()) == 4 and lines)
    finally:
        os.killpg(serving.pid, signal.SIGKILL)
        serving.wait()
    transitions = [decode(line) for line in lines]

    assert {(one.obj.run_id, one.state.type) for one in transitions} == {
        *((run, "Running") for run in (cancelled, killed)),
        *((cancelled, "Cancelling"), (killed, "Crashed")),
    }
    wanted = {one.id for one in transitions}
    assert wanted <= events_of(server, wanted).keys()


def first(found: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What ``found`` gives, once it gives something."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)
    return value


def test_the_example_tells_all_though_its_process_ends_right_after_the_flow(
    server: PrefectServer, python: Path, tmp_path: Path
) -> None:
    handlers = (EXAMPLE / "gateway.toml").read_text().partition("[[handler]]")[2].replace('"oncall"', '"box"')
    with Sidecar(tmp_path / "sidecar", handlers="[[handler]]" + handlers) as sidecar:
        run(server, python, EXAMPLE / "nightly.py", GATEWAY_URL=sidecar.url, GATEWAY_SPOOL=str(tmp_path / "spool"))
        told = [(one.obj.name, one.state.type) for one in sidecar.taken()]
    box = re.search("record://([0-9a-f]+)", (tmp_path / "sidecar" / "config" / "gateway.toml").read_text())

    assert told == [
        ("nightly", "Running"),
        *[("extract", "Running"), ("extract", "Success"), ("load", "Running"), ("load", "Success")],
        ("nightly", "Success"),
        ("nightly", "Running"),
        *[("extract", "Running"), ("extract", "Retrying")] * 2,
        *[("extract", "Running"), ("extract", "Failed")],
        ("nightly", "Failed"),
    ]
    assert box is not None
    *retries, failure = recording(box[1]).messages
    assert len(retries) == 2
    assert failure.title == "nightly: extract failed"
    assert "KeyError: 'umbrella'" in failure.body
    assert 'called with {"customer": "umbrella"}, after 3 attempts' in failure.body
    assert "return orders[customer]" in failure.body
