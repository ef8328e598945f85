"""POST /api/v1/transitions: what was answered with 202 is on the disk; the rest is refused in words."""

from __future__ import annotations

import gzip
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from gateway.server.limits import Limits
from gateway.store.opening import open_reader

JSON, LINES = "application/json", "application/x-ndjson"
PATH = "/api/v1/transitions"


def send(serving, body, kind=JSON, **headers):
    return serving.client.post(PATH, content=body, headers={"content-type": kind, **headers})


def test_a_transition_is_on_the_disk_when_it_is_answered(serve, event, tmp_path, sent) -> None:
    serving = serve()

    answer = serving.post(event(id="e-1"))

    reader = open_reader(f"sqlite:///{tmp_path}/gateway.db")  # not the gateway's own connection
    kept = reader.transition("e-1")
    reader.close()
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "duplicates": 0})
    assert answer.headers["content-type"] == JSON
    assert kept is not None
    serving.gateway.drain()
    assert [message.body for message in sent.messages] == ["the table is gone"]


def test_a_repeat_is_counted_and_told_nobody(serve, event, sent) -> None:
    serving = serve()

    answers = [serving.post(event(id="e-1")).json() for _ in range(2)]
    within_one = serving.post([event(id="e-2"), event(id="e-2")]).json()

    assert answers == [{"accepted": 1, "duplicates": 0}, {"accepted": 0, "duplicates": 1}]
    assert within_one == {"accepted": 1, "duplicates": 1}
    serving.gateway.drain()
    assert len(sent.messages) == 2


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (lambda one: json.dumps([one] * 3), JSON),
        (lambda one: f" \n{json.dumps([one] * 3)}", f"{JSON}; charset=UTF-8"),
        (lambda one: "\n".join([json.dumps(one)] * 3), LINES),
        (lambda one: f"\r\n{json.dumps(one)}\r\n\r\n{json.dumps(one)}\n{json.dumps(one)}\n", "application/ndjson"),
    ],
    ids=["array", "array with charset", "lines", "lines with blank ones"],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_many_come_as_an_array_or_in_lines_packed_or_not(serve, event, shape, kind, pack) -> None:
    body = pack(shape(event()).encode())
    headers = {} if pack is bytes else {"content-encoding": "gzip"}

    answer = send(serve(), body, kind, **headers)

    assert (answer.status_code, answer.json()) == (202, {"accepted": 3, "duplicates": 0})


def test_nothing_is_taken_from_an_empty_array(serve) -> None:
    answer = send(serve(), "[]")

    assert (answer.status_code, answer.json()) == (202, {"accepted": 0, "duplicates": 0})


@pytest.mark.parametrize("kind", [JSON, LINES])
def test_what_is_wrong_does_not_lose_the_rest(serve, event, kind) -> None:
    events = [event(id="a"), {"x": 1}, event(id="b"), event(state={"type": "Faild"})]
    body = json.dumps(events) if kind == JSON else "\n".join(map(json.dumps, events))

    answer = send(serve(), body, kind)

    assert answer.status_code == 202
    assert answer.json() == {
        "accepted": 2,
        "duplicates": 0,
        "errors": [
            {"index": 1, "complaints": ["obj: is missing", "new_state: is missing", "x: there is no such key"]},
            {"index": 3, "complaints": ["new_state.type: there is no state 'Faild', did you mean 'Failed'?"]},
        ],
    }


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        ("[{}]", {}, 422, "not one of these is a transition"),
        ("{}", {}, 422, "not one of these is a transition"),
        ("{", {}, 400, "not JSON"),
        ("", {}, 400, "not JSON"),
        ("[" * 100_000, {}, 400, "recursion limit"),
        ('{"a":' * 100_000, {}, 400, "recursion limit"),
        (json.dumps([0] * 10_001), {}, 400, "more than 10000 transitions"),
        ("\n".join(["{}"] * 10_001), {"content-type": LINES}, 400, "more than 10000 transitions"),
        ("{}", {"content-type": "text/plain"}, 415, "application/json"),
        ("{}", {"content-type": ""}, 415, "application/json"),
        ("{}", {"content-type": f"{JSON}; charset=latin-1"}, 415, "utf-8"),
        ("{}", {"content-encoding": "br"}, 415, "gzip"),
        ("{}", {"content-encoding": "gzip"}, 400, "gzip"),
        (gzip.compress(b"{}" * 100)[:-9], {"content-encoding": "gzip"}, 400, "not all of a gzip file"),
        (gzip.compress(b"") * 200, {"content-encoding": "gzip"}, 400, "gzip files in one"),
        (gzip.compress(b" " * 50_000_000), {"content-encoding": "gzip"}, 413, "4MiB"),
        (b" " * (4 * 1024 * 1024 + 1), {}, 413, "4MiB"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else str(value)[:30],  # when it is packed stands in it
)
def test_what_cannot_be_taken_is_refused_in_one_shape(serve, body, headers, status, said) -> None:
    serving = serve()

    answer = send(serving, body, headers.pop("content-type", JSON), **headers)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert said in answer.json()["detail"]
    assert serving.gateway.store.counters()["transitions"] == 0


def test_what_is_too_long_is_refused_however_it_comes(serve) -> None:
    serving = serve('max_body = "128KiB"')

    answer = serving.client.post(PATH, content=(b" " * 65536 for _ in range(50)), headers={"content-type": JSON})

    assert answer.status_code == 413


def test_who_never_stops_sending_is_cut_off(serve) -> None:
    serving = serve('max_body = "128KiB"', limits=Limits(linger_seconds=0.1))
    began = time.monotonic()

    with suppress(httpx.HTTPError):  # the answer may be lost on the way
        answer = serving.client.post(PATH, content=iter(lambda: b" " * 65536, 0), headers={"content-type": JSON})
        assert answer.status_code == 413

    assert time.monotonic() - began < 10


def test_other_methods_and_places_are_refused(serve) -> None:
    client = serve().client

    for path, allowed in (PATH, "GET, HEAD, POST"), ("/readyz", "GET, HEAD"), ("/api/v1/reload", "POST"):
        answer = client.put(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert allowed in answer.json()["detail"]
    for path in ("/api/v2", "/readyz/", "/%72eadyz", f"{PATH}/", f"{PATH}/a/b"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["status"]) == (404, 404)


def test_many_clients_at_once_each_get_their_own_answer(serve, event) -> None:
    serving = serve()

    def post(number: int) -> tuple[int, int]:
        answers = [serving.post([event(id=f"{number}-{n % 5}") for n in range(7)]).json() for _ in range(3)]
        return sum(a["accepted"] for a in answers), sum(a["duplicates"] for a in answers)

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(post, range(32))) == {(5, 16)}
    assert serving.gateway.store.counters()["transitions"] == 160


def test_a_large_batch_is_taken_whole(serve, event) -> None:
    answer = serve().post([event(state={"type": "Success"}) for _ in range(5000)])

    assert answer.json() == {"accepted": 5000, "duplicates": 0}
