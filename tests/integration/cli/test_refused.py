"""``gateway refused``: what was not understood can be looked at, and is told of where an operator looks first."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from gateway import Gateway
from gateway.store.rows import NewRefused

CONFIG = '[channel.box]\nurl = "record://refused-box"\n[[handler]]\nname = "told"\nto = "box"\n'


@pytest.fixture
def history(declare):
    """Two events that were not understood."""
    folder = declare(CONFIG).parent
    with Gateway(folder, watch=False) as gateway:
        for complaint, event in (("not JSON: it ends too early", "{"), ("name: is missing; state: is", '{"a": 1}')):
            gateway.refuse([NewRefused("cloudevents", datetime.now(UTC), complaint, event)]).result()
    return folder


def test_there_is_nothing_to_tell_before_anything_came(gateway, declare) -> None:
    declare(CONFIG)

    assert gateway("refused").stdout == "every event was understood\n"
    assert json.loads(gateway("refused", "--json").stdout) == {"refused": []}


def test_they_are_listed_newest_first(gateway, history) -> None:
    lines = gateway("refused").stdout.splitlines()

    assert lines[0].split() == ["#", "received", "source", "what", "is", "wrong"]
    assert ["name: is missing" in lines[1], "not JSON" in lines[2]] == [True, True]
    assert len(gateway("refused", "--limit", "1").stdout.splitlines()) == 2
    told = json.loads(gateway("refused", "list", "--json").stdout)["refused"]
    assert [one["event"] for one in told] == ['{"a": 1}', "{"]


def test_one_is_shown_as_it_came_with_all_that_is_wrong(gateway, history) -> None:
    newest, oldest = json.loads(gateway("refused", "--json").stdout)["refused"]

    shown = gateway("refused", "show", str(newest["id"])).stdout
    assert shown.splitlines()[1:] == ["name: is missing", "state: is", "", "{", '  "a": 1', "}"]
    assert gateway("refused", "show", f"#{oldest['id']}").stdout.endswith("\n{\n")
    assert json.loads(gateway("refused", "show", str(newest["id"]), "--json").stdout) == newest


@pytest.mark.parametrize("event", ["[" * 100_000, '"\\ud800"', "\x1b[2Jgone"])
def test_an_event_that_is_made_to_break_something_is_shown_and_breaks_nothing(gateway, declare, event) -> None:
    with Gateway(declare(CONFIG).parent, watch=False) as running:
        running.refuse([NewRefused("cloudevents", datetime.now(UTC), "it is odd", event)]).result()
    (one,) = json.loads(gateway("refused", "--json").stdout)["refused"]

    shown = gateway("refused", "show", str(one["id"]))

    assert (shown.returncode, shown.stderr) == (0, "")
    assert "it is odd" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_one_that_is_not_there_is_said_to_be_missing(gateway, history) -> None:
    ended = gateway("refused", "show", "9999")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "there is no refused event #9999" in ended.stderr


def test_status_has_a_line_about_the_recent_ones(gateway, history) -> None:
    assert "2 events were not understood, last 1d: gateway refused" in gateway("status").stdout
    assert json.loads(gateway("status", "--json").stdout)["refused"] == 2
