"""The ballast beside a store, and what is empty inside it."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.errors import StoreError, StoreFullError
from gateway.store.opening import open_store
from gateway.store.retention import Expired
from gateway.store.room import ballast_on
from gateway.store.store import Store
from gateway.store.translation import translate
from gateway.testing.builders import MOMENT, acceptance

LATER = MOMENT + timedelta(hours=1)


@pytest.fixture
def url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def ballast(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db.ballast"


def wanted(path: Path) -> int:
    return ballast_on(shutil.disk_usage(path.parent).total)


def test_the_ballast_takes_real_room_and_is_private(store: Store, ballast: Path) -> None:
    assert store.room().missing == wanted(ballast)

    assert store.restock()

    found = ballast.stat()
    assert found.st_size == wanted(ballast) <= found.st_blocks * 512
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert store.room().missing == 0


def test_a_whole_ballast_is_left_alone_by_whoever_opens_the_store_next(store: Store, url: str, ballast: Path) -> None:
    store.restock()
    before = ballast.stat().st_ino
    other = open_store(url)

    assert other.restock()

    assert ballast.stat().st_ino == before
    other.close()


@pytest.mark.parametrize("size", [0, 1000, 16 * 1024 * 1024])
def test_a_ballast_of_holes_or_cut_short_is_made_anew(store: Store, ballast: Path, size: int) -> None:
    with ballast.open("wb") as file:
        file.truncate(size)
    assert store.room().missing == wanted(ballast)

    assert store.restock()

    assert store.room().missing == 0


def test_a_ballast_that_cannot_be_made_is_no_error(store: Store, ballast: Path) -> None:
    ballast.mkdir()

    assert not store.restock()


def test_of_a_store_whose_folder_is_gone_nothing_is_known(tmp_path: Path, until: Callable[..., None]) -> None:
    store = open_store(f"sqlite:///{tmp_path}/var/gateway.db")
    assert store.room().free

    (tmp_path / "var").rename(tmp_path / "elsewhere")

    until(lambda: store.room().free is None)
    assert not store.restock()
    store.close()


def fill(store: Store, rows: int) -> None:
    store.accept_all([acceptance() for _ in range(rows)]).result()


def test_what_rows_leave_behind_is_told_filled_again_and_given_back(
    store: Store, tmp_path: Path, until: Callable[..., None]
) -> None:
    fill(store, 3000)
    while store.forget(Expired(None, LATER)).result().found:
        pass
    empty = store.reclaim(0).result()
    assert empty > 400_000
    until(lambda: store.room().reusable == empty)

    fill(store, 500)
    filled = store.reclaim(0).result()
    assert filled < empty - 50_000

    assert store.reclaim(200_000).result() == filled - 200_000 // 4096 * 4096
    while store.reclaim(100_000).result():
        pass
    store.close()
    assert (tmp_path / "gateway.db").stat().st_size < 600_000


def test_nothing_is_lost_by_giving_room_back(store: Store) -> None:
    fill(store, 400)
    store.forget(Expired(None, LATER)).result()
    while store.reclaim(4096 * 5).result():
        pass

    assert store.ask(lambda connection: connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()) == "ok"
    assert store.oldest().unmatched_at == MOMENT


class Refusal(Exception):
    """What a server says."""

    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate
        super().__init__("could not extend file")


@pytest.mark.parametrize(("error", "full"), [(Refusal("53100"), True), (Refusal("53200"), False)])
def test_a_server_whose_disk_is_full_is_understood(error: Exception, full: bool) -> None:
    assert type(translate(error)) is (StoreFullError if full else StoreError)


@pytest.mark.parametrize("gone", ["", "-wal", "-shm", ".lock", ".open"])
def test_a_store_that_was_deleted_under_us_takes_nothing_more(store: Store, tmp_path: Path, gone: str) -> None:
    store.accept(acceptance()).result()
    (tmp_path / f"gateway.db{gone}").unlink()

    with pytest.raises(StoreError, match=rf"taken away while open: .*/gateway\.db{gone} is gone; put all its files"):
        store.accept(acceptance()).result()


def test_a_store_that_was_replaced_takes_nothing_and_the_new_one_is_left_alone(store: Store, tmp_path: Path) -> None:
    store.accept(acceptance()).result()
    path = tmp_path / "gateway.db"
    path.rename(tmp_path / "away.db")
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE customer (id INTEGER)")
    other.close()
    before = path.read_bytes()

    with pytest.raises(StoreError, match="is another file than it was"):
        store.accept(acceptance()).result()

    assert path.read_bytes() == before


def test_a_store_that_is_put_back_goes_on(store: Store, tmp_path: Path) -> None:
    path, away = tmp_path / "gateway.db", tmp_path / "away.db"
    store.accept(acceptance()).result()
    path.rename(away)
    assert store.accept(acceptance()).exception() is not None

    away.rename(path)

    store.accept(acceptance()).result()
    assert store.counters()["transitions"] == 2
