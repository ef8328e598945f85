"""deliveries: what is in the store, and what can be done about it by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway import Gateway, Task, states
from gateway.channels import recording

CONFIG = """
[channel.box]
url = "record://{bucket}"
[channel.down]
url = "record://broken?fail=99&outcome=permanent"
[channel.slow]
url = "record://slow?fail=99"
retry = {{ first = "10m" }}
[[handler]]
name = "told"
to = "box"
title = "{{{{ obj.name }}}} told"
[[handler]]
name = "refused"
to = "down"
[[handler]]
name = "waiting"
to = "slow"
[[handler]]
name = "quiet"
to = "box"
mode = "shadow"
"""


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    return str(tmp_path).replace("/", "-").strip("-")


@pytest.fixture
def history(declare, bucket) -> dict[str, int]:
    """One transition handled: a delivery of every kind, their numbers by handler."""
    config = declare(CONFIG.format(bucket=bucket)).parent
    with Gateway(config, watch=False, drain_seconds=1) as running:
        running(Task(name="load"), states.Running(), states.Failed("boom"))
        running.drain()
        return {row.handler: row.id for row in running.store.deliveries()}


def listed(told: str) -> dict[str, str]:
    return {one["handler"]: one["status"] for one in json.loads(told)["deliveries"]}


def test_before_any_gateway_has_run_there_is_nothing_to_list(gateway, project) -> None:
    ended = gateway("deliveries")

    assert (ended.returncode, ended.stdout) == (0, "no deliveries yet\n")
    assert json.loads(gateway("deliveries", "--json").stdout)["deliveries"] == []
    assert not (project / "var").exists()


def test_the_list_tells_where_everything_stands_and_that_the_books_balance(gateway, history) -> None:
    ended = gateway("deliveries")

    assert ended.returncode == 0
    assert "load told" in ended.stdout
    assert "shadow: its handler is in shadow mode: recorded, not sent." in ended.stdout
    assert ended.stdout.endswith("4 accepted = 1 delivered + 1 suppressed + 1 dead + 0 cancelled + 1 owed\n")


def test_list_is_what_deliveries_does_by_itself(gateway, history) -> None:
    assert gateway("deliveries").stdout == gateway("deliveries", "list").stdout
    assert gateway("deliveries", "--status", "dead", "--json").stdout == (
        gateway("deliveries", "list", "--status", "dead", "--json").stdout
    )


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], {"told": "delivered", "refused": "dead", "waiting": "pending", "quiet": "suppressed"}),
        (["--status", "dead"], {"refused": "dead"}),
        (["--channel", "slow"], {"waiting": "pending"}),
        (["--handler", "quiet"], {"quiet": "suppressed"}),
        (["--since", "1h", "--status", "delivered"], {"told": "delivered"}),
        (["--limit", "1"], {"quiet": "suppressed"}),
        (["--channel", "none"], {}),
    ],
    ids=lambda value: " ".join(value) or "all" if isinstance(value, list) else "",
)
def test_filters_choose(gateway, history, options, found) -> None:
    assert listed(gateway("deliveries", *options, "--json").stdout) == found


def test_the_ledger_is_there_for_machines(gateway, history) -> None:
    ledger = json.loads(gateway("deliveries", "--json").stdout)["ledger"]

    assert ledger == {
        "accepted": 4, "delivered": 1, "suppressed": 1, "dead": 1, "cancelled": 0, "owed": 1, "balances": True,
    }  # fmt: skip


def test_show_tells_the_attempts_the_reason_the_message_and_the_cause(gateway, history) -> None:
    shown = gateway("deliveries", "show", str(history["waiting"]))

    assert shown.returncode == 0
    assert f"Delivery #{history['waiting']}: pending" in shown.stdout
    assert "asked_to_fail: a recording channel was told to fail, next try " in shown.stdout
    assert "cause     task load: Running → Failed" in shown.stdout
    assert "boom" in shown.stdout


def test_what_show_tells_machines_can_be_explained(gateway, history) -> None:
    shown = json.loads(gateway("deliveries", "show", f"#{history['told']}", "--json").stdout)

    assert shown["delivery"]["status"] == "delivered"
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["delivered"]
    by_event = gateway("explain", json.dumps(shown["transition"]))
    by_number = gateway("explain", f"#{history['told']}")
    by_id = gateway("explain", shown["transition"]["id"])
    assert by_event.stdout == by_number.stdout == by_id.stdout
    assert by_id.returncode == 0


def test_a_dead_delivery_is_sent_again_at_the_next_start(gateway, history, declare, bucket) -> None:
    retried = gateway("deliveries", "retry", str(history["refused"]))
    mended = CONFIG.replace("record://broken?fail=99&outcome=permanent", "record://{bucket}").format(bucket=bucket)
    with Gateway(declare(mended).parent, watch=False, drain_seconds=1) as running:
        running.drain()

    assert retried.stdout == f"#{history['refused']} will be sent again\n"
    assert len(recording(bucket).messages) == 2
    assert listed(gateway("deliveries", "--json").stdout)["refused"] == "delivered"


def test_a_pending_delivery_is_cancelled_and_stays_in_the_books(gateway, history) -> None:
    cancelled = gateway("deliveries", "cancel", str(history["waiting"]), "--json")

    assert json.loads(cancelled.stdout) == [{"id": history["waiting"], "done": True}]
    assert gateway("deliveries").stdout.endswith("1 dead + 1 cancelled + 0 owed\n")


@pytest.mark.parametrize("order", ["retry", "cancel"])
def test_what_cannot_be_done_is_said_and_the_rest_is_done(gateway, history, order) -> None:
    ended = gateway("deliveries", order, str(history["told"]), str(history["waiting"]), "999")

    assert ended.returncode == 1
    assert f"#{history['told']} is left alone: it is delivered" in ended.stderr
    assert "#999 is left alone: there is no such delivery" in ended.stderr
    assert ended.stdout.startswith(f"#{history['waiting']} ")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "999"], 1, "there is no delivery #999"),
        (["show", "x"], 2, "'x' is not the number of a delivery"),
        (["show", "9" * 30], 2, "is not the number of a delivery"),
        (["shwo", "1"], 2, "No such command 'shwo'"),
        (["--status", "deadd"], 2, "there is no status 'deadd'; did you mean 'dead'?"),
        (["--since", "yesterday"], 2, "must be a duration such as"),
        (["retry"], 2, "say which: 'gateway deliveries retry 12 15', or --all"),
        (["cancel", "1", "--all"], 2, "give either numbers of deliveries, or --all"),
        (["drop", "--channel", "box"], 2, "say which"),
        (["retry", "--all", "--status", "claimed"], 2, "is for deliveries that are dead or pending or cancelled"),
    ],
    ids=[
        "no such delivery",
        "no number",
        "too large",
        "no such command",
        "no such status",
        "no duration",
        "nothing",
        "both",
        "no --all",
        "wrong status",
    ],
)
def test_wrong_usage_is_told(gateway, history, arguments, code, said) -> None:
    ended = gateway("deliveries", *arguments)

    assert ended.returncode == code
    assert said in ended.stderr


def test_an_error_elsewhere_in_the_configuration_does_not_hide_deliveries(gateway, history, declare, bucket) -> None:
    declare(CONFIG.format(bucket=bucket).replace('to = "box"', 'to = "bx"'))

    assert gateway("deliveries").returncode == 0


def test_a_file_that_cannot_be_parsed_may_hide_where_the_store_is(gateway, history, declare) -> None:
    declare("[[handler]\n")

    ended = gateway("deliveries")

    assert ended.returncode == 1
    assert "config/gateway.toml:1:" in ended.stderr


def test_a_file_that_cannot_be_parsed_hides_nothing_where_another_says_where_the_store_is(
    gateway, history, declare
) -> None:
    broken = declare("[[handler]\n")
    (broken.parent / "store.toml").write_text('[store]\nurl = "sqlite:///var/gateway.db"\n')

    ended = gateway("deliveries")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "owed" in ended.stdout


def test_a_store_of_another_program_is_an_error_in_one_line(gateway, project) -> None:
    (project / "var").mkdir()
    (project / "var" / "gateway.db").write_bytes(b"not a database at all, but long enough to be taken for one" * 20)

    ended = gateway("deliveries")

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: the store {project}/var/gateway.db is not a database: ")
