"""Every command as a process, its good way and its bad way. The cases of each are told in tests/integration/cli."""

from __future__ import annotations

import json

import pytest

FAILURE = json.dumps(
    {
        "obj": {"kind": "task", "name": "load", "flow": {"name": "etl"}},
        "new_state": {"type": "Failed", "message": "the table is gone"},
    }
)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["init", "elsewhere"], "Next: gateway check --config elsewhere/config"),
        (["--version"], "gateway 0.1.0"),
        (["check"], "5 handlers, 4 channels"),
        (["explain", FAILURE], "the table is gone"),
        (["render", "task-failed", FAILURE], "load failed in etl"),
        (["send", "screen", "Works."], "screen: delivered"),
        (["schema"], '"gateway configuration"'),
        (["deliveries"], "no deliveries yet"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_that_finds_nothing_wrong_ends_with_0(gateway, project, arguments, said) -> None:
    ended = gateway(*arguments)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert said in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, ""),
        (["chekc"], 2, "Did you mean 'check'"),
        (["init"], 1, "error: already there"),
        (["check", "--config", "templates"], 1, "there is no '*.toml' file in this folder"),
        (["explain", "{}"], 1, "error: the event is not a transition"),
        (["render", "nobody", FAILURE], 2, "error: there is no handler 'nobody'"),
        (["send", "nobody"], 2, "error: there is no channel 'nobody'"),
        (["run", "--grace", "long"], 2, "must be a duration"),
        (["deliveries", "show", "1"], 1, "error: there is no delivery #1"),
        (["deliveries", "retry", "1"], 1, "error: there is no delivery #1"),
        (["deliveries", "cancel", "one"], 2, "'one' is not the number of a delivery"),
    ],
    ids=lambda value: " ".join(value)[:20] or "nothing" if isinstance(value, list) else "",
)
def test_a_command_that_finds_something_ends_with_1_and_wrong_usage_with_2(
    gateway, project, arguments, code, said
) -> None:
    ended = gateway(*arguments)

    assert ended.returncode == code
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
