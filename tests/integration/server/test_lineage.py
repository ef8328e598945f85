"""POST /api/v1/lineage: events of OpenLineage, with the state before from memory, the disk, or the same request."""

from __future__ import annotations

import fcntl
import gzip
import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.app import Gateway
from gateway.errors import StoreError
from gateway.server.limits import Limits

SAMPLES = Path(__file__).parents[2] / "samples" / "openlineage"
PATH = "/api/v1/lineage"
TELL_ALL = """
[[handler]]
name = "all"
to = "box"
message = "{{ obj.name }}: {{ old_state.type if old_state else 'unknown' }} to {{ state.type }}"
"""


def sample(name: str, **keys: Any) -> dict[str, Any]:
    return json.loads((SAMPLES / f"runevent.{name}.json").read_text()) | keys


def airflow_events() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLES / "airflow-3.3.2.orders.jsonl").read_text().splitlines()]


def event(type: str, second: int, run: str = "r-1") -> dict[str, Any]:
    at = f"2026-11-22T15:00:{second:02}Z"
    return sample("START.task", eventType=type, eventTime=at, run={"runId": run})


def told(serving: Any, sent: Any) -> list[str]:
    """What was sent, in the order in which it came to be: what comes together is sent by several at once."""
    serving.gateway.drain()
    made = [delivery.body for delivery in reversed(serving.gateway.store.deliveries())]
    assert sorted(made) == sorted(message.body for message in sent.messages)
    return made


def kept(serving: Any) -> list[tuple[str | None, str]]:
    """The changes in the store, in the order in which they came."""
    rows = serving.gateway.store.transitions(limit=500)
    return [(row.old_type, row.new_type) for row in reversed(rows)]


def test_events_are_kept_matched_and_follow_one_another_over_requests(serve, sent) -> None:
    serving = serve(handlers=TELL_ALL)

    answers = [serving.client.post(PATH, json=one) for one in airflow_events()]

    assert {answer.status_code for answer in answers} == {201}
    assert answers[0].json() == {"accepted": 1, "duplicates": 0, "ignored": 0}
    assert answers[-1].json() == {"accepted": 4, "duplicates": 0, "ignored": 0}
    messages = told(serving, sent)
    assert {"flaky: Running to Retrying", "flaky: Retrying to Running", "skip: Success to Skipped"} <= {*messages}
    assert {"after: unknown to TriggerFailed", "right: unknown to Skipped"} <= {*messages}
    assert len(messages) == 22


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_an_array_is_taken_as_well_and_its_events_follow_one_another(serve, pack) -> None:
    serving = serve()
    body = pack(json.dumps([event("START", 1), event("COMPLETE", 2), sample("OTHER.task")]).encode())
    headers = {"content-type": "application/json"} | ({} if pack is bytes else {"content-encoding": "gzip"})

    answer = serving.client.post(PATH, content=body, headers=headers)

    assert (answer.status_code, answer.json()) == (201, {"accepted": 2, "duplicates": 0, "ignored": 1})
    assert kept(serving) == [(None, "Running"), ("Running", "Success")]


def test_a_repeat_is_counted_and_told_nobody(serve, sent) -> None:
    serving = serve(handlers=TELL_ALL)

    answers = [serving.client.post(PATH, json=event("FAIL", 1)).json() for _ in range(2)]

    assert answers[1] == {"accepted": 0, "duplicates": 1, "ignored": 0}
    assert len(told(serving, sent)) == 1


def test_the_state_before_survives_a_restart(serve) -> None:
    serving = serve()
    serving.client.post(PATH, json=event("START", 1))
    serving.server.stop()
    serving.gateway.close()

    again = serve()
    again.client.post(PATH, json=event("FAIL", 2))

    assert kept(again) == [(None, "Running"), ("Running", "Failed")]


def test_what_comes_late_is_kept_and_is_no_state_before(serve) -> None:
    serving = serve()
    for one in (event("COMPLETE", 9), event("START", 1), event("START", 20)):
        serving.client.post(PATH, json=one)

    assert kept(serving) == [(None, "Success"), (None, "Running"), ("Success", "Running")]


def test_requests_at_the_same_time_follow_one_another(serve) -> None:
    """Whichever comes first, none follows itself, and none is lost."""
    serving = serve()
    events = [event("START" if second % 2 else "FAIL", second, f"r-{run}") for second in range(8) for run in range(5)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: serving.client.post(PATH, json=one).json(), events))

    assert sum(answer["accepted"] + answer["ignored"] for answer in answers) == 40
    assert all(old != new for old, new in kept(serving) if old is not None and new == "Running")


def test_events_of_no_state_are_ignored_and_counted(serve) -> None:
    serving = serve()

    answers = [
        serving.client.post(PATH, json=one)
        for one in (sample("OTHER.task"), {"eventTime": "2026-11-22T15:00:00Z", "job": {"namespace": "a", "name": "b"}})
    ]

    assert [(one.status_code, one.json()) for one in answers] == [
        (200, {"accepted": 0, "duplicates": 0, "ignored": 1})
    ] * 2
    text = serving.client.get("/metrics").text
    assert 'gateway_events_ignored_total{reason="no_state",source="openlineage"} 1.0' in text
    assert 'gateway_events_ignored_total{reason="no_run",source="openlineage"} 1.0' in text


def test_what_is_wrong_is_said_and_kept_and_does_not_lose_the_rest(serve) -> None:
    serving = serve()

    alone = serving.client.post(PATH, json=sample("FAIL.task", eventType="COMPLTE"))
    among = serving.client.post(PATH, json=[sample("FAIL.task", job=3), event("START", 1)])
    broken = serving.client.post(PATH, content=b"{", headers={"content-type": "application/json"})

    assert alone.status_code == 422
    assert alone.json()["errors"][0]["complaints"] == [
        "eventType: there is no event type 'COMPLTE', did you mean 'COMPLETE'?"
    ]
    assert (among.status_code, among.json()["accepted"], among.json()["errors"][0]["index"]) == (201, 1, 0)
    assert (broken.status_code, broken.json()["title"]) == (400, "Bad Request")
    refused = serving.gateway.store.refused()
    assert [(one.source, one.complaint.partition(":")[0]) for one in refused] == [
        ("openlineage", "not JSON"),
        ("openlineage", "job"),
        ("openlineage", "eventType"),
    ]
    assert json.loads(refused[2].event) == sample("FAIL.task", eventType="COMPLTE")


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "text/plain"}, b"{}", 415),
        ({"content-type": "application/x-ndjson"}, b"{}", 415),
        ({"content-type": "application/json", "content-encoding": "br"}, b"{}", 415),
        ({"content-type": "application/json"}, b" " * 2000, 413),
        ({"content-type": "application/json", "authorization": "Bearer wrong"}, b"{}", 401),
    ],
)
def test_requests_are_refused_as_those_with_transitions_are(serve, headers, body, status) -> None:
    answer = serve('max_body = "1KiB"\n', token=True).client.post(PATH, content=body, headers=headers)

    assert answer.status_code == status
    assert answer.json()["detail"]


def test_without_room_the_answer_is_the_one_after_which_clients_try_again(serve) -> None:
    """The Python client does so after 503, and not after 429."""
    serving = serve(limits=Limits(bytes_on_their_way=1000))
    slow = serving.connect()
    slow.sendall(b"POST /api/v1/lineage HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n")
    slow.sendall(b"content-length: 5000\r\n\r\n" + b" " * 900)
    time.sleep(0.1)

    answer = serving.client.post(PATH, json=sample("FAIL.task"))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    slow.close()


def mutated(value: Any) -> Any:
    """``value`` with anything at all in place of some part of it."""
    anything = st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
        max_leaves=4,
    )
    if isinstance(value, dict) and value:
        return st.sampled_from(sorted(value)).flatmap(
            lambda key: (
                mutated(value[key]).map(lambda changed: {**value, key: changed})
                | st.just({other: kept for other, kept in value.items() if other != key})
            )
        )
    if isinstance(value, list) and value:
        return mutated(value[0]).map(lambda changed: [changed, *value[1:]]) | anything
    return anything


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_event_whatever_breaks_it(serving_once, data) -> None:
    samples = [sample("FAIL.task"), airflow_events()[13], airflow_events()[-1]]
    changed = data.draw(st.sampled_from(samples).flatmap(mutated))

    answer = serving_once.client.post(PATH, json=changed)

    assert answer.status_code in (200, 201, 422), answer.text
    assert answer.status_code != 422 or (answer.json()["detail"] and serving_once.gateway.store.refused(limit=1))


@pytest.fixture
def serving_once(serve):
    return serve(handlers=TELL_ALL)


def test_what_the_store_did_not_take_is_no_state_before(serve, monkeypatch) -> None:
    take, failures = Gateway.take, [StoreError("the disk is gone")]

    def taking(gateway: Gateway, transitions: Any, **named: Any) -> Future[Any]:
        answer: Future[Any] = Future()
        if not failures:
            return take(gateway, transitions, **named)
        answer.set_exception(failures.pop())
        return answer

    monkeypatch.setattr(Gateway, "take", taking)
    serving = serve()

    answers = [serving.client.post(PATH, json=one) for one in (event("START", 1), event("FAIL", 2))]

    assert [one.status_code for one in answers] == [503, 201]
    assert kept(serving) == [(None, "Failed")]
    assert serving.client.post(PATH, json=event("START", 1)).json()["accepted"] == 1


def test_a_store_that_is_slow_is_told_and_what_was_sent_is_kept_once(serve, tmp_path, until) -> None:
    serving = serve(limits=Limits(commit_seconds=0.3))
    with (tmp_path / "gateway.db.lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = serving.client.post(PATH, json=event("START", 1))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")

    until(lambda: kept(serving))
    assert serving.client.post(PATH, json=event("START", 1)).json() == {"accepted": 0, "duplicates": 1, "ignored": 0}
    assert serving.client.post(PATH, json=event("FAIL", 2)).json()["accepted"] == 1
    assert kept(serving) == [(None, "Running"), ("Running", "Failed")]
