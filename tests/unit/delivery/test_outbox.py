from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.delivery.outbox import Outbox
from gateway.delivery.payload import decode
from gateway.store.opening import open_store
from gateway.store.store import Store
from gateway.testing.builders import notification, transition
from gateway.testing.clock import HandMovedClock


@pytest.fixture
def clock() -> HandMovedClock:
    return HandMovedClock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'gateway.db'}")
    yield store
    store.close()


def test_what_was_accepted_can_be_read_back(store: Store, clock: HandMovedClock) -> None:
    happened = transition(id="t-1", occurred_at=clock.now() - timedelta(seconds=5))

    accepted = Outbox(store, clock).accept(happened, [notification(title="Load", give_up=timedelta(hours=2))])

    (delivery,) = accepted.deliveries
    history = store.history(delivery.id)
    assert history is not None
    assert history.delivery == delivery
    assert (delivery.title, delivery.give_up_at) == ("Load", clock.now() + timedelta(hours=2))
    assert (history.transition.received_at, history.transition.occurred_at) == (clock.now(), happened.occurred_at)
    assert decode(history.transition.payload).obj == happened.obj
    assert (history.transition.old_type, history.transition.new_type) == ("Running", "Failed")


def test_a_repeated_transition_is_kept_once(store: Store) -> None:
    outbox, again = Outbox(store), transition(id="t-1")

    assert not outbox.accept(again, [notification()]).duplicate
    assert outbox.accept(again, [notification()]).duplicate
    assert store.owed() == 1


def test_without_notifications_nothing_is_kept(store: Store) -> None:
    assert Outbox(store).accept(transition(), []).deliveries == ()
    assert store.counters()["transitions"] == 0


@pytest.mark.parametrize(
    ("more", "room", "status", "told_now", "required"),
    [
        ({}, True, "claimed", 1, 0),
        ({}, False, "pending", 0, 0),
        ({"required": True}, False, "claimed", 0, 1),
        ({"mode": "shadow"}, True, "suppressed", 0, 0),
        ({"mode": "shadow", "required": True}, True, "suppressed", 0, 0),
    ],
    ids=["room", "no room", "required", "shadow", "required shadow"],
)
def test_who_sends_it(
    store: Store, more: dict[str, object], room: bool, status: str, told_now: int, required: int
) -> None:
    outbox = Outbox(store, has_room=lambda channel: room)

    accepted = outbox.accept(transition(), [notification(**more)])

    assert accepted.deliveries[0].status == status
    assert (len(accepted.claimed), len(accepted.required)) == (told_now, required)


def test_hostile_text_is_kept_without_what_no_database_takes(store: Store) -> None:
    hostile = transition(task="lo\0ad\ud800", id="t\0-\udfff")

    accepted = Outbox(store).accept(hostile, [notification(body="a\0b\ud800é", title="\0")])

    assert (accepted.deliveries[0].body, accepted.deliveries[0].title) == ("ab?é", "")
    assert store.history(accepted.deliveries[0].id) is not None
