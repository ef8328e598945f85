"""Transitions from outside: taken without waiting, kept whole, told like all others."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.app import retention_of
from gateway.errors import StoreClosedError
from gateway.store.rows import NewRefused
from gateway.testing.builders import MOMENT, transition

FAILED = '[[handler]]\nname = "failed"\nwhen = "state is failed"\nto = "box"\nmessage = "{{ task.name }} failed"\n'


def keep_unmatched(write, how_long: str, handlers: str = FAILED) -> Path:
    folder = write(handlers)
    with (folder / "store.toml").open("a") as store:
        store.write(f'keep_unmatched = "{how_long}"\n')
    return folder


def test_each_transition_is_answered_in_order_and_what_it_says_is_sent(write, opened, sent) -> None:
    gw = opened(write(FAILED))
    seen = transition(id="seen")
    gw.take([seen]).result()

    answers = gw.take([transition(task="a"), seen, transition(new="Success"), transition(task="b")]).result()
    gw.drain()

    assert [(one.duplicate, len(one.deliveries)) for one in answers] == [(False, 1), (True, 0), (False, 0), (False, 1)]
    assert sorted(message.body for message in sent.messages) == ["a failed", "b failed", "load failed"]


def test_the_same_transition_twice_in_one_batch_is_told_once(write, opened, sent) -> None:
    gw = opened(write(FAILED))
    twice = transition(id="twice")

    answers = gw.take([twice, twice]).result()
    gw.drain()

    assert [one.duplicate for one in answers] == [False, True]
    assert len(sent.messages) == 1


def test_nobody_stands_inside_a_transition_from_outside_so_required_is_delivered_like_all_else(
    write, opened, sent, bucket
) -> None:
    gw = opened(write(FAILED + "required = true\n", f'[channel.box2]\nurl = "record://{bucket}?fail=9"\n'))

    (answer,) = gw.take([transition()]).result()
    gw.drain()

    assert [one.required for one in answer.deliveries] == [False]
    assert len(sent.messages) == 1


@pytest.mark.parametrize(("how_long", "is_kept"), [("24h", True), ("0", False)])
def test_a_transition_that_nobody_is_told_of_is_counted_and_kept_if_wanted(write, opened, how_long, is_kept) -> None:
    gw = opened(keep_unmatched(write, how_long))

    gw.take([transition(id="t-1", new="Success")]).result()

    assert gw.store.counters()["transitions"] == gw.store.counters()["unmatched"] == 1
    assert (gw.store.transition("t-1") is not None) is is_kept
    assert gw.store.ledger() == ()


def test_what_a_source_may_tell_again_is_kept_for_an_hour_where_nothing_is_to_be_kept(write, opened) -> None:
    gw = opened(keep_unmatched(write, "0"))

    answers = [gw.take([transition(id="t-1", new="Success")], kept=True).result() for _ in range(2)]

    assert [one.duplicate for (one,) in answers] == [False, True]
    assert retention_of(gw.ruleset).unmatched == timedelta(hours=1)


def test_what_a_flow_does_that_nobody_is_told_of_is_counted_and_not_kept(write, opened) -> None:
    config = write(FAILED)
    gw = opened(config)

    for number in range(3):
        gw.handle(transition(id=f"t-{number}", new="Success"))
    gw.close()

    store = opened(config).store
    assert store.transition("t-1") is None
    assert (store.counters()["transitions"], store.counters()["unmatched"]) == (3, 3)


def test_a_check_that_raises_on_a_transition_from_outside_stops_nobody(write, opened, sent, caplog) -> None:
    raising = '[[handler]]\nname = "raises"\nwhen = "state.result.rows > 3"\nto = "box"\n'
    gw = opened(write(raising + FAILED))

    failed = transition()
    failed.state.result = {"rows": "many"}
    gw.take([failed]).result()
    gw.drain()

    assert [message.body for message in sent.messages] == ["load failed"]
    assert "a check raised" in caplog.text


def test_a_closed_gateway_takes_nothing_and_says_so(write, opened) -> None:
    gw = opened(write(FAILED))
    gw.close()

    with pytest.raises(StoreClosedError):
        gw.take([transition()])


def test_of_many_events_that_nobody_understood_only_the_first_fill_the_log(write, opened, caplog) -> None:
    gateway = opened(write(FAILED))
    gateway.refuse([NewRefused("cloudevents", MOMENT, f"odd {n}", "{}") for n in range(500)]).result(10)

    told = [one for one in caplog.records if "not understood" in one.message]
    assert (len(told), told[-1].__dict__["events"]) == (11, 490)
    assert len(gateway.store.refused(limit=1_000)) == 500


def test_what_a_source_takes_back_before_the_store_begins_with_it_is_no_error(write, opened, tmp_path, caplog) -> None:
    gw = opened(write(FAILED))
    gw.observers.add(lambda told: None)
    with closing(sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        first = gw.take([transition(id="first")])
        while not first.running():
            time.sleep(0.01)
        second = gw.take([transition(id="second")])
        assert second.cancel()
        other.execute("ROLLBACK")

    assert len(first.result(10)) == 1
    gw.take([transition(id="third")]).result(10)
    assert gw.store.transition("second") is None
    assert not caplog.records
