"""The last state of each run: what was told follows what was told before, and late news changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

import pytest

from gateway.sources.reading import ALL_BUT, UNKNOWN, Reported
from gateway.sources.runs import Runs
from gateway.states import STATES
from gateway.store.rows import Run
from gateway.testing.builders import MOMENT
from gateway.transition import Obj, Transition


def reported(
    type: str, at: float = 0, run: str = "r-1", follows: frozenset[str] | None = None, old: str = ""
) -> Reported:
    moment = MOMENT + timedelta(seconds=at)
    state, old_state = STATES[type](name=type.upper()), STATES[old]() if old else None
    obj = Obj("task", "load", run_id=run)
    return Reported(Transition.of(obj, old_state, state, source="openlineage", occurred_at=moment), follows)


class Store:
    """Knows runs, and remembers what it was asked."""

    def __init__(self, *runs: Run) -> None:
        self.runs = {(run.source, run.run_id): run for run in runs}
        self.asked: list[set[tuple[str, str]]] = []

    def __call__(self, keys: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Run]:
        self.asked.append({*keys})
        return {key: self.runs[key] for key in self.asked[-1] if key in self.runs}


def told(runs: Runs, *what: Reported) -> list[tuple[str | None, str]]:
    asked = runs.unknown(what)
    if asked:
        runs.learn(asked, runs.ask(asked))
    return [(one.old_state and one.old_state.type, one.state.type) for one in runs.settle(what)]


def known(type: str, at: float = 0, run: str = "r-1") -> Run:
    return Run("openlineage", run, type, type.upper(), MOMENT + timedelta(seconds=at))


def test_the_state_before_is_the_last_one_told_or_the_one_that_the_store_knows() -> None:
    store = Store(known("Retrying"))
    runs = Runs(store)

    assert told(runs, reported("Running", 1), reported("Failed", 2)) == [("Retrying", "Running"), ("Running", "Failed")]
    assert told(runs, reported("Running", 3)) == [("Failed", "Running")]
    assert len(store.asked) == 1


def test_the_name_and_the_time_of_the_state_before_are_the_engines() -> None:
    runs = Runs(Store(known("Running")))
    runs.learn([("openlineage", "r-1")], runs.ask([("openlineage", "r-1")]))
    (one,) = runs.settle([reported("Failed", 9)])

    assert (one.old_state.name, one.old_state.timestamp, one.obj.started_at) == ("RUNNING", MOMENT, MOMENT)


def test_a_state_before_that_was_told_stays() -> None:
    assert told(Runs(Store(known("Running"))), reported("Failed", 1, old="Paused")) == [("Paused", "Failed")]


def test_what_comes_late_has_no_state_before_and_is_none_itself() -> None:
    runs = Runs(Store())

    late = told(runs, reported("Success", 5), reported("Running", 1, follows=ALL_BUT["Running"]))

    assert late == [(None, "Success"), (None, "Running")]
    assert told(runs, reported("Failed", 6)) == [("Success", "Failed")]


@pytest.mark.parametrize(
    ("last", "follows", "is_news"),
    [
        (None, frozenset({UNKNOWN}), True),
        (None, frozenset({"Running"}), False),
        ("Running", frozenset({"Running"}), True),
        ("Failed", frozenset({"Running"}), False),
        ("Running", ALL_BUT["Running"], False),
    ],
)
def test_what_follows_only_some_states_is_no_news_after_others(last, follows, is_news) -> None:
    store = Store(*([known(last)] if last else []))

    assert bool(told(Runs(store), reported("Failed", 1, follows=follows))) is is_news


def test_what_comes_late_and_is_the_state_that_is_known_changes_nothing() -> None:
    runs = Runs(Store(known("Failed", 9)))

    assert told(runs, reported("Failed", 1, follows=ALL_BUT["Failed"])) == []
    assert told(runs, reported("Running", 1, follows=ALL_BUT["Running"])) == [(None, "Running")]


def test_a_late_correction_of_a_known_state_is_none() -> None:
    runs = Runs(Store(known("Running", 9)))

    assert told(runs, reported("Failed", 1, follows=frozenset({"Running", "Retrying"}))) == []


def test_a_run_without_an_id_is_nobodys() -> None:
    store = Store()

    assert told(Runs(store), reported("Running", run=""), reported("Failed", 1, run="")) == [
        (None, "Running"),
        (None, "Failed"),
    ]
    assert store.asked == []


def test_what_was_told_since_the_store_was_asked_is_newer_than_its_answer() -> None:
    runs = Runs(Store(known("Retrying")))
    asked = runs.unknown([reported("Running", 1)])
    found = runs.ask(asked)
    told(runs, reported("Running", 1))

    runs.learn(asked, found)

    assert told(runs, reported("Failed", 2)) == [("Running", "Failed")]


def test_only_so_many_are_in_memory_and_of_the_others_the_store_is_asked() -> None:
    store = Store()
    runs = Runs(store, most=2)
    for run in ("a", "b", "c"):
        told(runs, reported("Running", run=run))
    store.runs[("openlineage", "a")] = known("Paused", run="a")

    assert told(runs, reported("Failed", 1, run="c"), reported("Failed", 1, run="a")) == [
        ("Running", "Failed"),
        ("Paused", "Failed"),
    ]
    assert store.asked[-1] == {("openlineage", "a")}


def test_where_others_write_to_the_store_it_is_asked_each_time() -> None:
    store = Store()
    runs = Runs(store, alone=False)
    told(runs, reported("Running"))
    store.runs[("openlineage", "r-1")] = known("Retrying", 5)

    assert told(runs, reported("Running", 6)) == [("Retrying", "Running")]


def test_what_the_store_did_not_take_is_forgotten() -> None:
    runs = Runs(Store(known("Retrying")))
    told(runs, running := reported("Running", 1))

    runs.forget([running.transition])

    assert told(runs, reported("Running", 1)) == [("Retrying", "Running")]


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_repeat_is_handed_on_for_the_store_to_know_it_by_its_id(is_restarted) -> None:
    store = Store()
    runs = Runs(store)
    first = reported("Running", 1.000_5, follows=ALL_BUT["Running"])
    told(runs, first)
    store.runs[("openlineage", "r-1")] = known("Running", 1)

    (again,) = (runs if not is_restarted else fresh(store)).settle([first])

    assert (again.id, again.old_state) == (first.transition.id, None)


def fresh(store: Store) -> Runs:
    runs = Runs(store)
    runs.learn([("openlineage", "r-1")], store([("openlineage", "r-1")]))
    return runs
