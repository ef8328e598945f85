"""POST /api/v1/cloudevents: all three forms, by the official client where it has them, against tables of TOML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SAMPLES = Path(__file__).parents[2] / "samples" / "cloudevents"
PATH = "/api/v1/cloudevents"
STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
TELL_ALL = """
[[handler]]
name = "all"
to = "box"
message = "{{ obj.name }}: {{ old_state.type if old_state else 'unknown' }} to {{ state.type }}"
"""
TABLE = """
[source.cloudevents.runs]
when = 'event.type.startswith("dev.acme.workflow.run.")'
name = 'data.run.name'
run_id = 'data.run.id'
state = 'data.new_state.type'
message = 'data.new_state.message'
tags = 'data.tags'
"""


@pytest.fixture
def mapped(serve):
    return serve(handlers=TELL_ALL + TABLE)


def cloud_event(id: str = "e-1", state: str = "FAILED", **keys: Any) -> dict[str, Any]:
    body = json.loads((SAMPLES / "http.structured.json").read_text())["body"]
    body["data"]["new_state"]["type"] = state
    return {**body, "id": id, **keys}


def post(serving: Any, body: Any, kind: str = STRUCTURED, **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return serving.client.post(PATH, content=content, headers={"content-type": kind, **headers})


def told(serving: Any, sent: Any) -> list[str]:
    """What was sent, in the order in which it came to be: what comes together is sent by several at once."""
    serving.gateway.drain()
    made = [delivery.body for delivery in reversed(serving.gateway.store.deliveries())]
    assert sorted(made) == sorted(message.body for message in sent.messages)
    return made


@pytest.mark.parametrize("form", [to_binary_event, to_structured_event])
def test_what_the_official_client_writes_is_understood(mapped, sent, form) -> None:
    written = cloud_event()
    data = written.pop("data")
    attributes = {key: value for key, value in written.items() if key != "time"}
    message = form(CloudEvent(attributes | {"subject": 'flow é "x" 100%'}, data))

    answer = mapped.client.post(PATH, content=message.body, headers=message.headers)

    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "duplicates": 0, "ignored": 0})
    assert told(mapped, sent) == ["illegal-pony: unknown to Failed"]


@pytest.mark.parametrize("form", ["binary", "structured", "batch"])
def test_requests_as_they_were_sent_are_understood(mapped, form) -> None:
    request = json.loads((SAMPLES / f"http.{form}.json").read_text())
    own = ("host", "content-length", "connection")
    headers = {name: value for name, value in request["headers"].items() if name not in own}

    answer = mapped.client.post(PATH, content=json.dumps(request["body"]), headers=headers)

    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1  # in the batch, the run is failed by the first of two already
    assert answer.json()["accepted"] + answer.json()["duplicates"] + answer.json()["ignored"] in (1, 2)


def test_a_batch_is_answered_for_one_by_one(mapped, sent) -> None:
    events = [
        cloud_event("1", "RUNNING", time="2026-11-22T14:34:01Z"),
        cloud_event("2", "FAILD"),
        {"specversion": "1.0"},
        cloud_event("3", type="something.else"),
        cloud_event("4", "FAILED", time="2026-11-22T14:34:02Z"),
        cloud_event("4", "FAILED", time="2026-11-22T14:34:02Z"),
    ]

    answer = post(mapped, events, BATCH)

    assert answer.status_code == 202
    body = answer.json()
    assert (body["accepted"], body["duplicates"], body["ignored"]) == (2, 1, 1)
    assert [(one["index"], one["complaints"][0].partition(":")[0]) for one in body["errors"]] == [
        (1, "[source.cloudevents.runs] state = data.new_state.type"),
        (2, "id"),
    ]
    assert told(mapped, sent) == ["illegal-pony: unknown to Running", "illegal-pony: Running to Failed"]
    assert len(mapped.gateway.store.refused()) == 2


def test_a_repeat_that_tells_no_time_is_not_taken_for_the_last_state_of_its_run(mapped, sent) -> None:
    for id, state in (("1", "RUNNING"), ("2", "FAILED"), ("1", "RUNNING"), ("3", "SUCCESS")):
        post(mapped, {key: value for key, value in cloud_event(id, state).items() if key != "time"})

    assert told(mapped, sent)[-1] == "illegal-pony: Failed to Success"


def test_the_same_id_of_the_same_source_is_told_once(mapped, sent) -> None:
    answers = [post(mapped, cloud_event()).json() for _ in range(2)]

    assert [one["duplicates"] for one in answers] == [0, 1]
    assert len(told(mapped, sent)) == 1


def test_an_event_that_no_table_takes_is_ignored_and_counted(mapped) -> None:
    answer = post(mapped, cloud_event(type="something.else"))

    assert (answer.status_code, answer.json()["ignored"]) == (202, 1)
    metrics = mapped.client.get("/metrics").text
    assert 'gateway_events_ignored_total{reason="no_table",source="cloudevents"} 1.0' in metrics


def test_what_a_table_cannot_map_is_refused_in_words_and_kept(mapped) -> None:
    answer = post(mapped, cloud_event(data={"run": {"name": ["x"]}}))

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["complaints"] == [
        "[source.cloudevents.runs] name = data.run.name: must be text, and is a list",
        "[source.cloudevents.runs] state = data.new_state.type: there is nothing of it in this event",
    ]
    (kept,) = mapped.gateway.store.refused()
    assert (kept.source, json.loads(kept.event)["id"]) == ("cloudevents", "e-1")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {"content-type": STRUCTURED}, 400),
        (b"{}", {"content-type": BATCH}, 400),
        (b"[{]", {"content-type": BATCH}, 400),
        (b"{}", {"content-type": STRUCTURED}, 422),
        (b"[1, null]", {"content-type": BATCH}, 422),
        (b"{}", {"content-type": "application/cloudevents+xml"}, 415),
        (b"{}", {"content-type": f"{STRUCTURED}; charset=latin-1"}, 415),
        (b"{}", {"content-type": "application/json"}, 415),
        (b"{", {"content-type": "application/json", "ce-id": "1"}, 422),
        (b"{", {"content-type": "application/json", "ce-id": "%ff"}, 422),
        (b" " * 5000, {"content-type": STRUCTURED}, 413),
    ],
)
def test_what_is_no_event_is_refused(serve, body, headers, status) -> None:
    serving = serve('max_body = "2KiB"\n', handlers=TELL_ALL + TABLE)

    answer = serving.client.post(PATH, content=body, headers=headers)

    assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)
    assert len(serving.gateway.store.refused()) == (2 if body.startswith(b"[1") else status in (400, 422))


def test_an_edit_of_the_tables_is_in_force_for_the_next_event(mapped) -> None:
    configuration = next(path for path in mapped.folder.rglob("*.toml") if "cloudevents" in path.read_text())
    configuration.write_text(configuration.read_text().replace("dev.acme.", "org.acme."))
    mapped.gateway.reload()

    answers = [post(mapped, cloud_event(type=f"{top}.acme.workflow.run.failed")).json() for top in ("dev", "org")]

    assert [answer["ignored"] for answer in answers] == [1, 0]


def test_the_token_is_asked_for_and_a_signature_will_do(serve) -> None:
    serving = serve(token=True)

    answer = post(serving, cloud_event(), authorization="Bearer wrong")

    assert answer.status_code == 401
    assert post(serving, cloud_event()).status_code == 202


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = ("name", "id", "state", "flow", "flow_id", "tags", "labels", "index", "began", "due", "at", "retries", "result")
ALL_KEYS = """
[source.cloudevents.all]
kind = "task"
name = 'data.name'
run_id = 'data.id'
state = 'data.state'
flow = 'data.flow'
flow_run_id = 'data.flow_id'
tags = 'data.tags'
labels = 'data.labels'
parameters = 'data.labels'
map_index = 'data.index'
started_at = 'data.began'
start_time = 'data.due'
occurred_at = 'data.at'
max_retries = 'data.retries'
result = 'data.result'
"""


@pytest.fixture
def everything(serve):
    return serve(handlers=TELL_ALL + ALL_KEYS)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.dictionaries(st.sampled_from(KEYS), ANYTHING), state=st.sampled_from(["failed", "running", "x"]))
def test_no_data_whatever_breaks_it(everything, data, state) -> None:
    data = {"name": "x", "state": state} | data

    answer = post(everything, {"specversion": "1.0", "id": "1", "source": "a", "type": "b", "data": data})

    assert answer.status_code in (202, 422), answer.text


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    attributes=st.dictionaries(
        st.sampled_from(["specversion", "id", "source", "type", "subject", "time", "data", "data_base64", "x"]),
        ANYTHING,
    ),
    batch=st.booleans(),
)
def test_no_envelope_whatever_breaks_it(everything, attributes, batch) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "a", "type": "b"} | attributes

    answer = post(everything, [event] if batch else event, BATCH if batch else STRUCTURED)

    assert answer.status_code in (202, 422), answer.text
