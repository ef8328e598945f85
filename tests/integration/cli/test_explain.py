"""explain and render: what would be said, and nothing sent."""

from __future__ import annotations

import json

import pytest

FAILURE = {
    "obj": {"kind": "task", "name": "load", "flow": {"name": "etl"}},
    "old_state": {"type": "Running"},
    "new_state": {"type": "Failed", "message": "the table is gone", "result": {"rows": 17}, "run_count": 1},
}
EVENT = json.dumps(FAILURE)


def why(told: str) -> dict[str, dict[str, object]]:
    return {one["handler"]: one for one in json.loads(told)["handlers"]}


def test_explain_says_who_fires_and_why_the_others_do_not(gateway, project) -> None:
    explained = gateway("explain", EVENT)

    assert explained.returncode == 0
    lines = [line.split() for line in explained.stdout.splitlines()]
    assert ["task-retrying", "no", "false:", "state", "is", "retrying"] in lines
    assert ["task-failed", "yes", "matches", "oncall,", "mail"] in lines
    assert "load rejected 17 rows" in explained.stdout
    assert "the table is gone" in explained.stdout
    assert not (project / "var").exists()


@pytest.mark.parametrize("way", ["file", "standard input", "inline"])
def test_an_event_comes_from_a_file_standard_input_or_the_command_line(gateway, project, way) -> None:
    (project / "event.json").write_text(EVENT)
    argument = {"file": "event.json", "standard input": "-", "inline": EVENT}[way]

    explained = gateway("explain", argument, "--json", input=EVENT if way == "standard input" else "")

    handlers = why(explained.stdout)
    assert handlers["task-failed"]["fires"] is True
    assert [message["channel"] for message in handlers["task-failed"]["messages"]] == ["oncall", "mail"]
    assert handlers["flow-finished"]["why"] == 'false: on = "flow"'


def test_explain_needs_no_secret(gateway, declare) -> None:
    declare(
        '[channel.box]\nurl = { env = "NOT_SET_ANYWHERE" }\nformat = "html"\n[[handler]]\nname = "all"\nto = "box"\n'
    )

    explained = gateway("explain", EVENT, "--json")

    assert explained.returncode == 0
    assert why(explained.stdout)["all"]["messages"][0]["format"] == "html"


def test_what_fails_on_the_event_is_a_finding(gateway, declare) -> None:
    declare(
        '[channel.box]\nurl = "record://box"\n'
        '[[handler]]\nname = "raises"\nwhen = "state.result.rows > \'x\'"\nto = "box"\n'
        '[[handler]]\nname = "odd"\nmessage = "{{ state.result.rows.deep.er }}"\nto = "box"\n'
    )

    explained = gateway("explain", EVENT, "--json")

    assert explained.returncode == 1
    handlers = why(explained.stdout)
    assert handlers["raises"]["failed"] is True
    assert "odd" in handlers["odd"]["messages"][0]["message"]


@pytest.mark.parametrize(
    ("argument", "code", "said"),
    [
        ("{", 1, "the event is not a transition:\n  not JSON: "),
        ('{"obj": {"kind": "task", "nme": "x"}}', 1, "obj.nme: there is no such key"),
        ('{"obj": {"kind": "task", "name": "x"}, "new_state": {"type": "Faild"}}', 1, "did you mean 'Failed'"),
        ("missing.json", 2, "there is no file 'missing.json'"),
        ("#7", 2, "there is no delivery #7"),
    ],
    ids=["no JSON", "unknown key", "unknown state", "no file", "no delivery"],
)
def test_an_event_that_cannot_be_had_is_told_in_words(gateway, project, argument, code, said) -> None:
    explained = gateway("explain", argument)

    assert explained.returncode == code
    assert said in explained.stderr
    assert "Traceback" not in explained.stderr


def test_a_bad_configuration_is_told_before_the_event_is_read(gateway, declare) -> None:
    declare("[[handler]\n")

    explained = gateway("explain", EVENT)

    assert explained.returncode == 1
    assert "config/gateway.toml:1:" in explained.stderr


def test_what_an_event_says_cannot_command_the_terminal(gateway, project) -> None:
    hostile = json.dumps({**FAILURE, "obj": {"kind": "task", "name": "\x1b]0;owned\x07 [red]load"}})

    explained = gateway("explain", hostile)

    assert "\x1b" not in explained.stdout
    assert "\x07" not in explained.stdout
    assert "[red]load" in explained.stdout


@pytest.mark.parametrize(
    ("format", "said"),
    [("text", "a <\u200bb>"), ("html", "a &lt;b&gt;"), ("markdown", r"a \<b\>")],
    ids=lambda value: value,
)
def test_render_escapes_for_the_format(gateway, declare, format, said) -> None:
    declare(
        '[channel.box]\nurl = "record://box"\n'
        '[[handler]]\nname = "plain"\ntitle = "A title"\nmessage = "{{ obj.name }}"\nto = "box"\n'
    )
    event = json.dumps({"obj": {"kind": "flow", "name": "a <b>"}, "new_state": {"type": "Failed"}})

    rendered = gateway("render", "plain", event, "--format", format)

    assert rendered.returncode == 0
    assert rendered.stdout == f"A title\n\n{said}\n"


def test_render_to_machines(gateway, project) -> None:
    rendered = gateway("render", "rejected-rows", EVENT, "--json")

    assert json.loads(rendered.stdout)["title"] == "load rejected 17 rows"


def test_render_knows_which_handler_was_meant(gateway, project) -> None:
    rendered = gateway("render", "task-faild", EVENT)

    assert rendered.returncode == 2
    assert "did you mean 'task-failed'?" in rendered.stderr
