"""Our handlers on real Prefect 1 tasks and flows, and our engine against Prefect's, change by change.

Prefect 1 lives in an environment of its own, see ``tests/environments.py``. ``prefect1_scenarios.py`` runs
there; this file judges what it printed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import gateway
from tests import environments

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SCENARIOS = Path(__file__).with_name("prefect1_scenarios.py")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the scenarios saw."""
    python = environments.required("prefect1")
    home = tmp_path_factory.mktemp("prefect1")
    # The package alone on the path, without what lies beside it in the repository.
    (home / "gateway").symlink_to(Path(gateway.__file__).parent)
    variables = {"PYTHONPATH": home, "HOME": home, "PATH": os.environ["PATH"], "PREFECT__LOGGING__LEVEL": "CRITICAL"}
    done = subprocess.run(
        [python, "-W", "ignore", SCENARIOS],
        env={name: str(value) for name, value in variables.items()},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_it_is_the_last_prefect_1(seen):
    assert seen["version"] == "1.4.1"


def test_a_task_passes_through_the_same_states_with_the_same_messages_in_both_engines(seen):
    assert len(seen["lone"]) > 20
    assert {name: theirs for name, (theirs, _) in seen["lone"].items()} == {
        name: ours for name, (_, ours) in seen["lone"].items()
    }


def test_triggers_decide_the_same_in_both_engines(seen):
    assert len(seen["dependent"]) > 20
    assert {name: theirs for name, (theirs, _) in seen["dependent"].items()} == {
        name: ours for name, (_, ours) in seen["dependent"].items()
    }


def test_every_state_class_of_prefect_1_is_one_of_ours_with_the_same_predicates(seen):
    assert len(seen["states"]) == 22
    assert seen["states"] == {name: [name] for name in seen["states"]}


def test_callback_factory_fires_on_a_retry_and_only_for_true_itself(seen):
    assert seen["retries"] == ["Retrying Task (after attempt 1 of 3)"]


def test_an_error_of_a_callback_fails_the_task(seen):
    assert seen["broken"] == "Unexpected error while calling state handlers: OSError('no network')"


def test_a_handler_works_after_cloudpickle(seen):
    assert seen["cloudpickled"] == ["Error during execution of task: ValueError('odd')"]


def test_on_failure_fires_for_every_failed_attempt_and_the_flow(seen):
    assert seen["retried"]["failures"] == [["load", "a equals b"]] * 3 + [["nightly", "Some reference tasks failed."]]


def of_kind(seen, kind):
    return [transition for transition in seen["retried"]["transitions"] if transition["kind"] == kind]


def test_a_transition_aware_handler_sees_the_whole_run_of_a_task(seen):
    transitions = of_kind(seen, "task")

    assert [(t["step"], t["run_count"], t["final"], t["old_final"]) for t in transitions] == [
        ("Pending > Running", 1, False, False),
        ("Running > Failed", 1, False, False),
        ("Failed > Retrying", 1, False, False),
        ("Retrying > Running", 2, False, False),
        ("Running > Failed", 2, False, False),
        ("Failed > Retrying", 2, False, False),
        ("Retrying > Running", 3, False, False),
        ("Running > Failed", 3, True, False),
    ]


def test_what_the_engine_knows_of_the_task_is_told(seen):
    flow_run_id = of_kind(seen, "flow")[0]["run_id"]

    for transition in of_kind(seen, "task"):
        assert transition["source"] == "prefect1"
        assert (transition["name"], transition["run_name"], transition["tags"]) == ("load", "load", ["a", "b"])
        assert (transition["parameters"], transition["max_retries"]) == ({"day": "monday"}, 2)
        assert (transition["flow"], transition["flow_run_id"]) == ("nightly", flow_run_id)


def test_the_run_of_a_task_keeps_its_id_over_attempts(seen):
    (run_id,) = {transition["run_id"] for transition in of_kind(seen, "task")}

    assert run_id.startswith(of_kind(seen, "flow")[0]["run_id"] + "/load")


def test_what_the_engine_knows_of_the_flow_is_told(seen):
    transitions = of_kind(seen, "flow")

    assert [transition["step"] for transition in transitions] == ["Scheduled > Running", "Running > Failed"]
    assert {transition["name"] for transition in transitions} == {"nightly"}
    assert transitions[-1]["parameters"] == {"day": "monday"}
    assert transitions[-1]["result"]["load"]["result"]["value"] == 3


def test_data_on_a_signal_is_readable_as_plain_data(seen):
    failures = [transition for transition in of_kind(seen, "task") if transition["step"] == "Running > Failed"]

    result = failures[0]["result"]
    assert result.pop("traceback").endswith("FAIL: a equals b\n")
    assert result == {"type": "FAIL", "message": "a equals b", "value": 3}


def test_the_start_of_a_retry_is_an_aware_time_and_other_states_have_none(seen):
    for transition in of_kind(seen, "task"):
        assert transition["start_time"] == (0 if transition["step"].endswith("Retrying") else None)


def test_mapped_children_are_told_apart(seen):
    children = [t for t in seen["mapped"] if t["map_index"] is not None]

    assert seen["mapped"][0]["step"] == "Pending > Mapped"
    assert {(t["map_index"], t["run_name"]) for t in children} == {(0, "double[0]"), (1, "double[1]")}
    assert len({t["run_id"] for t in seen["mapped"]}) == 3
    assert [t["step"] for t in children] == [
        "Pending > Running",
        "Running > Success",
        "Pending > Running",
        "Running > Failed",
    ]


RULES = """
[[handler]]
name    = "retrying"
on      = "task"
when    = 'state is retrying and "prod" in task.tags'
to      = "box"
title   = "{{ task.name }} of {{ flow.name }} is retrying"
message = "{{ old_state.message }}"

[[handler]]
name    = "rejected"
on      = "task"
when    = "state is failed and state is final and state.result.rows"
to      = "box"
title   = "{{ task.name }}"
message = "{{ state.result.rows }} rows"

[[handler]]
name    = "flow-failed"
on      = "flow"
when    = "state is failed"
to      = "box"
title   = "{{ flow.name }}"
message = "{{ state.message }}"
"""


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="Prefect 1 and this interpreter must share packages")
def test_a_whole_gateway_attaches_to_real_tasks_and_flows(seen, write, bucket, tmp_path) -> None:
    config = write(RULES)
    (tmp_path / "gateway").symlink_to(Path(gateway.__file__).parent)
    site = sysconfig.get_paths()["purelib"]

    done = subprocess.run(
        [
            environments.required("prefect1"),
            "-W",
            "ignore",
            Path(__file__).with_name("prefect1_gateway.py"),
            site,
            config,
            bucket,
        ],
        env={"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [
        "check | 17 rows",
        "etl | Some reference tasks failed.",
        "load of etl is retrying | Error during execution of task: ValueError('no route')",
    ]
