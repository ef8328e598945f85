"""What ``gateway status`` tells: with a gateway at work, with none, and when the books do not balance."""

from __future__ import annotations

import json
import sqlite3

import pytest

from gateway import Gateway, Task, states

CONFIG = """
[gateway]
name = "warehouse alerts"

[channel.box]
url = "record://status-box"

[channel.down]
url = "record://status-down?fail=99&outcome=channel"

[channel.broken]
url = "record://status-broken?fail=99&outcome=permanent"

[[handler]]
name  = "told"
state = "Failed"
to    = ["box", "down", "broken"]
"""


@pytest.fixture
def history(declare):
    """Deliveries of every kind, by a gateway that has ended."""
    folder = declare(CONFIG).parent
    with Gateway(folder, watch=False, drain_seconds=0.2) as gateway:
        gateway(Task(name="load"), states.Running(), states.Failed("boom"))
        gateway(Task(name="load"), None, states.Running())
        gateway.drain()
    return folder


def test_a_store_that_nobody_made_has_nothing_to_tell(gateway, declare) -> None:
    declare(CONFIG)

    ended = gateway("status")

    assert (ended.returncode, ended.stdout) == (0, "no deliveries yet: no gateway has run on this configuration\n")
    assert json.loads(gateway("status", "--json").stdout)["ledger"]["total"]["balances"] is True


def test_without_a_gateway_at_work_the_store_tells(gateway, history) -> None:
    told = gateway("status")

    assert told.returncode == 0
    lines = told.stdout.splitlines()
    assert lines[0] == "warehouse alerts"
    assert lines[1].split() == ["handler", "channel", "accepted", "delivered", "dead", "owed"]
    assert ["told", "down", "1", "0", "0", "1"] in [line.split() for line in lines]
    assert "3 accepted = 1 delivered + 0 suppressed + 1 dead + 0 cancelled + 1 owed" in lines
    assert any(line.startswith("down") and "asked_to_fail 1" in line for line in lines)
    assert any(line.startswith("broken") and "asked_to_fail" in line for line in lines)
    assert "no gateway is at work: what is owed goes out when one is next started" in lines
    assert "2 transitions accepted, 1 matched by no handler; no repeats" in lines
    assert lines[-1].startswith("store: ")


def test_processes_are_told_with_their_configuration_and_whether_it_is_this_one(
    gateway, history, declare, until
) -> None:
    with Gateway(history, watch=False, drain_seconds=0) as running:
        until(lambda: running.ruleset.hash in gateway("status").stdout)
        same = gateway("status").stdout
        declare(CONFIG + "# edited\n")
        other = gateway("status").stdout
        [node] = json.loads(gateway("status", "--json").stdout)["nodes"]

    assert "not the configuration in these files" not in same
    assert "not the configuration in these files" in other
    assert (node["differs"], node["silent"]) == (True, False)


def test_a_process_that_is_not_heard_of_is_silent(gateway, history, until) -> None:
    with Gateway(history, watch=False, drain_seconds=0) as running:
        until(lambda: running.ruleset.hash in gateway("status").stdout)
        with sqlite3.connect(history.parent / "var" / "gateway.db") as other:
            other.execute("INSERT INTO node VALUES (999999, 7, 0, 0, 0, 'abc')")
        other.close()
        told = gateway("status").stdout

    assert "silent, not the configuration in these files" in told


def test_books_that_do_not_balance_are_an_error(gateway, history) -> None:
    with sqlite3.connect(history.parent / "var" / "gateway.db") as store:
        store.execute("UPDATE ledger SET count = count + 1 WHERE account = 'delivered'")
    store.close()

    told = gateway("status")

    assert told.returncode == 1
    assert "these books do not balance: told → box: 1 accepted ≠ 2 delivered" in told.stdout
    assert json.loads(gateway("status", "--json").stdout)["ledger"]["total"]["balances"] is False


def test_only_dead_letters_of_late_are_told(gateway, history) -> None:
    assert "given up, last 1h" in gateway("status", "--since", "1h").stdout
    assert "given up" not in gateway("status", "--since", "1ms").stdout


def test_nothing_told_is_wider_than_a_terminal(gateway, history) -> None:
    assert max(map(len, gateway("status").stdout.splitlines())) <= 80


# many at once


def test_all_dead_letters_of_a_channel_are_dropped_once_that_is_confirmed(gateway, history) -> None:
    refused = gateway("deliveries", "drop", "--all", "--channel", "broken", input="n\n")
    dropped = gateway("deliveries", "drop", "--all", "--channel", "broken", input="y\n")

    assert refused.returncode == 1
    assert "1 delivery: 1 to broken" in refused.stderr
    assert dropped.stdout.strip() == "1 delivery is dropped"
    assert "0 dead + 1 cancelled" in gateway("status").stdout


def test_what_is_chosen_can_be_retried_and_cancelled_without_asking(gateway, history) -> None:
    assert gateway("deliveries", "retry", "--all", "--yes").stdout == "1 delivery will be sent again\n"
    assert gateway("deliveries", "cancel", "--all", "-y", "--handler", "told").stdout == "2 deliveries are cancelled\n"
    assert gateway("deliveries", "cancel", "--all", "-y").stdout == "no delivery fits\n"
    assert "0 dead + 2 cancelled + 0 owed" in gateway("status").stdout
