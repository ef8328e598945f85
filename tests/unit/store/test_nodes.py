"""Who is alive, whose claims return, and who must not send any more. Two stores on one file are two nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from gateway.store.nodes import PATIENCE, Watch
from gateway.store.opening import open_store
from gateway.store.rows import Record
from gateway.store.store import Session, Store
from gateway.testing.builders import MOMENT, acceptance, new_delivery

SHORT_TTL = timedelta(seconds=0.4)

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def pair(url: str) -> Iterator[tuple[Store, Store]]:
    stores = open_store(url, node_ttl=SHORT_TTL), open_store(url, node_ttl=SHORT_TTL)
    yield stores
    for store in stores:
        store.close()


def stop_beating(store: Store) -> Session:
    """As if the process had been stopped: it stays as it is and says nothing more."""
    session = store._session
    assert session is not None
    session.writer._beat = lambda: None
    return session


def test_every_open_store_is_a_node_of_its_own(pair: tuple[Store, Store]) -> None:
    first, second = pair

    assert [node.id for node in first.nodes()] == sorted([first.node, second.node])


def test_a_closed_store_leaves_the_nodes_and_gives_back_its_claims(pair: tuple[Store, Store]) -> None:
    first, second = pair
    second.accept(acceptance(new_delivery(claimed=True))).result()

    second.close()

    assert [node.id for node in first.nodes()] == [first.node]
    assert len(first.claim("oncall", 9, MOMENT).result()) == 1


def test_claims_of_a_silent_node_return_and_it_may_not_send_them_any_more(
    pair: tuple[Store, Store], until: Until
) -> None:
    first, second = pair
    (delivery,) = second.accept(acceptance(new_delivery(claimed=True))).result().deliveries
    before = second.node
    assert second.holds(delivery)
    stop_beating(second)

    until(lambda: first.next_due())

    assert not second.holds(delivery)
    assert second.node > before
    assert second.node in [node.id for node in first.nodes()]


def test_what_a_silent_node_records_about_a_delivery_that_another_has_taken_is_refused(
    pair: tuple[Store, Store], until: Until
) -> None:
    first, second = pair
    (delivery,) = second.accept(acceptance(new_delivery(claimed=True))).result().deliveries
    stop_beating(second)
    until(lambda: first.next_due())
    (taken,) = first.claim("oncall", 9, MOMENT).result()

    assert not second.record(Record(delivery, "dead", "http_400", MOMENT, MOMENT)).result().kept

    assert first.holds(taken)
    assert first.record(Record(taken, "delivered", "ok", MOMENT, MOMENT)).result().kept


def test_nodes_that_beat_keep_their_claims(pair: tuple[Store, Store], until: Until) -> None:
    first, second = pair
    (delivery,) = second.accept(acceptance(new_delivery(claimed=True))).result().deliveries
    owner = second.node

    until(lambda: all(node.heartbeat_at - node.started_at > 3 * SHORT_TTL for node in first.nodes()))

    assert not first.next_due()
    assert second.node == owner
    assert second.holds(delivery)


def test_a_node_whose_claims_nobody_took_finds_out_by_a_heartbeat_and_goes_on(url: str, until: Until) -> None:
    store = open_store(url, node_ttl=SHORT_TTL)
    (delivery,) = store.accept(acceptance(new_delivery(claimed=True))).result().deliveries
    session = stop_beating(store)
    until(lambda: not session.is_fresh())

    assert store.holds(delivery)
    store.close()


def test_the_configuration_that_runs_on_a_node_is_shown(pair: tuple[Store, Store], until: Until) -> None:
    first, second = pair

    second.announce("c0ffee")

    until(lambda: "c0ffee" in [node.config_hash for node in first.nodes()])


def test_silence_is_counted_in_our_own_beats() -> None:
    watch = Watch()

    for _ in range(PATIENCE):
        watch.saw({1: 5, 2: 5})
        assert not watch.silent()
    watch.saw({1: 5, 2: 6})

    assert watch.silent() == ((1, 5),)


def test_a_node_that_beats_again_is_silent_no_more() -> None:
    watch = Watch()
    for _ in range(PATIENCE + 1):
        watch.saw({1: 5})

    watch.saw({1: 6})

    assert not watch.silent()


def test_many_who_ask_at_once_whether_they_may_send_do_not_make_the_others_look_silent(
    pair: tuple[Store, Store],
) -> None:
    first, second = pair
    session = first._session
    assert session is not None

    for beat in [session.beat() for _ in range(3 * PATIENCE)]:
        assert beat is not None
        beat.result()

    assert not session._watch.silent()
    assert second.node in [node.id for node in first.nodes()]
