"""Bodies are unpacked within their limit, in memory too."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
from starlette.requests import Request

from gateway.config.size import Size
from gateway.server.answers import COME_AGAIN, RefusedError
from gateway.server.body import unpack
from gateway.server.limits import Limits
from gateway.server.room import Room, Share

PACKED = Request({"type": "http", "headers": [(b"content-encoding", b"GZIP")]})
LIMIT = Size(1024 * 1024)


def test_a_bomb_is_never_unpacked_beyond_the_limit() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    tracemalloc.start()

    with pytest.raises(RefusedError) as refused:
        unpack(PACKED, bomb, LIMIT, Share(Room()))

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.status == 413
    assert most < 4 * LIMIT


def test_several_files_in_one_are_unpacked_one_after_the_other() -> None:
    assert unpack(PACKED, gzip.compress(b"a") + gzip.compress(b"b"), LIMIT, Share(Room())) == b"ab"


def test_what_is_unpacked_takes_room_as_well() -> None:
    room = Room(Limits(bytes_on_their_way=1000))
    other, mine = Share(room), Share(room)
    other.take(bytes=500)

    with pytest.raises(RefusedError) as refused:
        unpack(PACKED, gzip.compress(b" " * 900), LIMIT, mine)

    assert (refused.value.status, refused.value.headers) == (429, COME_AGAIN)


def test_room_that_is_given_back_can_be_taken_again() -> None:
    room = Room(Limits(transitions_on_their_way=10))
    first, second = Share(room), Share(room)

    first.take(transitions=100)  # alone, whatever its size
    with pytest.raises(RefusedError):
        second.take(transitions=1)
    first.give_back()
    first.give_back()
    second.take(transitions=10)

    assert (room.transitions, room.bytes) == (10, 0)
