"""Reads and orders: what is kept, page by page; why a delivery stands where it does; what would be sent."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

HANDLERS = """
[[handler]]
name = "failed"
state = "Failed"
to = ["box", "hook"]
message = "{{ state.message }}"
[[handler]]
name = "watched"
state = "Failed"
to = "box"
mode = "shadow"
"""
HOOK = """
[channel.hook]
url = "json://127.0.0.1:9/hook"
retry = { attempts = 3, first = "1h", max = "1h" }
"""
V1 = "/api/v1"


@pytest.fixture
def filled(serve, event, until):
    """A gateway that was sent five transitions, two of which failed."""
    serving = serve(handlers=HANDLERS, channels=HOOK)
    for number, (state, flow) in enumerate(
        [("Failed", "etl"), ("Success", "etl"), ("Success", "web"), ("Failed", "web"), ("Running", "etl")]
    ):
        one = event(id=f"e-{number}", state={"type": state}, source=f"from-{number % 2}")
        one["obj"] |= {"name": f"task-{number}", "run_id": f"r-{number % 2}", "flow": {"name": flow}}
        serving.post(one)
    until(lambda: delivery(serving, "hook", -1)["attempts"] == 1 and delivery(serving, "hook", 0)["attempts"] == 1)
    until(lambda: not serving.client.get(f"{V1}/deliveries?channel=box&status=claimed").json()["deliveries"])
    return serving


def delivery(serving, channel, position=0):
    return serving.client.get(f"{V1}/deliveries", params={"channel": channel}).json()["deliveries"][position]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", "43210"),
        ("flow=etl", "410"),
        ("flow=etl&state=Failed", "0"),
        ("task=task-3", "3"),
        ("run_id=r-1", "31"),
        ("source=from-0&matched=true", "0"),
        ("matched=false", "421"),
        ("matched=true", "30"),
        ("since=1h", "43210"),
        ("since=2100-01-01T00:00:00Z", ""),
        ("limit=2", "43"),
        ("flow=no'such%22--", ""),
    ],
)
def test_transitions_are_listed_by_what_they_are_about(filled, query, ids) -> None:
    told = filled.client.get(f"{V1}/transitions?{query}").json()["transitions"]

    assert [one["id"] for one in told] == [f"e-{id}" for id in ids]


def test_since_is_when_they_were_received(filled, until) -> None:
    middle = filled.client.get(f"{V1}/transitions").json()["transitions"][2]["received_at"]

    told = filled.client.get(f"{V1}/transitions", params={"since": middle}).json()["transitions"]
    later = datetime.fromisoformat(middle) + timedelta(milliseconds=1)

    assert {one["id"] for one in told} >= {"e-4", "e-3", "e-2"}
    assert all(one["received_at"] >= middle for one in told)
    after = filled.client.get(f"{V1}/transitions", params={"since": later.isoformat()}).json()["transitions"]
    assert all(one["received_at"] > middle for one in after)


@pytest.mark.parametrize("what", ["transitions", "deliveries"])
def test_pages_follow_each_other_whatever_comes_in_between(filled, event, what) -> None:
    whole = [one["id"] for one in filled.client.get(f"{V1}/{what}").json()[what]]
    seen, before = [], None
    while True:
        page = filled.client.get(f"{V1}/{what}", params={"limit": 2, **({"before": before} if before else {})}).json()
        seen += [one["id"] for one in page[what]]
        before = page["next"]
        if before is None:
            break
        filled.post(event())

    assert seen == whole


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 6),
        ("status=suppressed", 2),
        ("status=delivered", 2),
        ("status=pending", 2),
        ("status=dead", 0),
        ("channel=box", 4),
        ("handler=watched", 2),
        ("handler=failed&channel=hook", 2),
        ("transition=e-0", 3),
        ("transition=e-9", 0),
        ("since=1h", 6),
        ("since=2100-01-01T00:00:00%2B02:00", 0),
    ],
)
def test_deliveries_are_listed_by_where_they_stand(filled, query, found) -> None:
    assert len(filled.client.get(f"{V1}/deliveries?{query}").json()["deliveries"]) == found


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("stauts=dead", "stauts: there is no such parameter, did you mean 'status'?"),
        ("status=lost", "status: "),
        ("limit=0", "limit: "),
        ("limit=501", "limit: "),
        ("limit=x", "limit: "),
        ("before=-1", "before: "),
        (f"before={2**63}", "before: "),
        ("since=yesterday", "since: "),
        ("since=2026-01-01T00:00:00", "since: "),
        ("channel=a%00b", "channel: must not hold the character NUL"),
        ("channel=a&channel=b", "a parameter is given twice"),
        ("channel=" + "x" * 2000, "channel: "),
        ("&".join(f"x{n}=1" for n in range(60)), "more than 50 parameters"),
    ],
)
def test_a_query_that_is_wrong_is_refused_with_every_reason(serve, query, said) -> None:
    answer = serve().client.get(f"{V1}/deliveries?{query}")

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert any(complaint.startswith(said) for complaint in answer.json()["complaints"])


def test_where_no_parameter_is_known_none_is_taken(serve) -> None:
    client = serve().client

    assert client.get(f"{V1}/ledger?x=1").status_code == 422
    assert client.post(f"{V1}/reload?x=1", json={}).status_code == 422


def test_a_transition_is_shown_with_what_was_told_of_it(filled) -> None:
    told = filled.client.get(f"{V1}/transitions/e-0").json()

    assert told["event"]["new_state"]["message"] == "the table is gone"
    assert told["event"]["obj"]["flow"] == {"name": "etl"}
    standing = {(one["handler"], one["channel"]): (one["status"], one["reason"]) for one in told["deliveries"]}
    assert standing == {
        ("failed", "box"): ("delivered", "ok"),
        ("failed", "hook"): ("pending", "refused"),
        ("watched", "box"): ("suppressed", "shadow"),
    }


def test_an_id_may_be_any_text(serve, event) -> None:
    serving = serve()
    for id in ("a/b", "ä ?#%", "..", "%2F"):
        serving.post(event(id=id))

        path = "".join(f"%{byte:02x}" for byte in id.encode())
        assert serving.client.get(f"{V1}/transitions/{path}").json()["id"] == id


@pytest.mark.parametrize("id", ["no-such", "%00", "a%00b", "%ff"])
def test_a_transition_that_is_not_there_is_not_found(serve, id) -> None:
    assert serve().client.get(f"{V1}/transitions/{id}").status_code == 404


def test_a_delivery_is_shown_with_its_attempts_and_why(filled) -> None:
    told = filled.client.get(f"{V1}/deliveries/{delivery(filled, 'hook')['id']}").json()

    assert (told["status"], told["reason"], told["why"]) == ("pending", "refused", "nobody listens on that port")
    assert told["body"] == "the table is gone"
    assert told["transition"]["id"] == "e-3"
    assert [(one["outcome"], one["reason"], one["why"]) for one in told["tries"]] == [
        ("temporary", "refused", "nobody listens on that port")
    ]


@pytest.mark.parametrize("id", ["0", "999999", "-1", "x", "1.0", "%31%00", "9" * 30, "%D9%A1"])
@pytest.mark.parametrize("order", ["", "/retry", "/cancel", "/drop"])
def test_a_delivery_that_is_not_there_is_not_found(serve, id, order) -> None:
    client = serve().client
    path = f"{V1}/deliveries/{id}{order}"

    assert (client.post(path, json={}) if order else client.get(path)).status_code == 404


def test_the_books_are_shown_and_balance(filled) -> None:
    told = filled.client.get(f"{V1}/ledger").json()

    assert told["total"] == {
        "accepted": 6,
        "delivered": 2,
        "suppressed": 2,
        "dead": 0,
        "cancelled": 0,
        "owed": 2,
        "balances": True,
    }
    assert [(one["handler"], one["channel"], one["accepted"]) for one in told["lines"]] == [
        ("failed", "box", 2),
        ("failed", "hook", 2),
        ("watched", "box", 2),
    ]
    assert (told["counters"]["transitions"], told["counters"]["unmatched"]) == (5, 3)


# explain


def test_explain_says_who_would_be_told_what_and_keeps_nothing(filled, event) -> None:
    told = filled.client.post(f"{V1}/explain", json=event(state={"message": "m"})).json()["handlers"]

    assert [(one["handler"], one["fires"], one["why"]) for one in told] == [
        ("failed", True, "matches"),
        ("watched", True, "matches; recorded only (shadow)"),
    ]
    assert [(one["channel"], one["message"]) for one in told[0]["messages"]] == [("box", "m"), ("hook", "m")]
    assert filled.gateway.store.counters()["transitions"] == 5


def test_explain_says_why_nobody_would_be_told(filled, event) -> None:
    told = filled.client.post(f"{V1}/explain", json=event(state={"type": "Success"})).json()["handlers"]

    assert [(one["fires"], one["why"]) for one in told] == [(False, "false: state = Failed")] * 2


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"", 400), (b"{}", 422), (b"[]", 422), (b"[" * 9999, 400)])
def test_explain_refuses_what_is_no_transition(serve, body, status) -> None:
    answer = serve().client.post(f"{V1}/explain", content=body, headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["status"]) == (status, status)


# orders


def test_a_pending_delivery_is_sent_again_at_once(filled, until) -> None:
    id = delivery(filled, "hook")["id"]

    answer = filled.client.post(f"{V1}/deliveries/{id}/retry", json={})

    assert (answer.status_code, answer.json()["id"]) == (200, id)
    until(lambda: filled.client.get(f"{V1}/deliveries/{id}").json()["attempts"] == 2)


def test_a_pending_delivery_is_ended_and_can_be_owed_again(filled) -> None:
    id = delivery(filled, "hook")["id"]

    cancelled = filled.client.post(f"{V1}/deliveries/{id}/cancel", json={})
    again = filled.client.post(f"{V1}/deliveries/{id}/cancel", json={})
    revived = filled.client.post(f"{V1}/deliveries/{id}/retry", json={})

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert (again.status_code, again.json()["detail"]) == (409, f"delivery {id} is left alone: it is cancelled")
    assert revived.status_code == 200


def test_a_dead_letter_is_taken_out_of_the_way(serve, event, until) -> None:
    channels = HOOK.replace("attempts = 3", "attempts = 1")
    serving = serve(handlers=HANDLERS, channels=channels)
    serving.post(event())
    until(lambda: delivery(serving, "hook")["status"] == "dead")

    dropped = serving.client.post(f"{V1}/deliveries/{delivery(serving, 'hook')['id']}/drop", json={}).json()

    assert (dropped["status"], dropped["reason"]) == ("cancelled", "dropped")
    assert serving.client.get(f"{V1}/ledger").json()["total"]["cancelled"] == 1


def test_what_is_delivered_is_left_alone(filled) -> None:
    id = filled.client.get(f"{V1}/deliveries?status=delivered").json()["deliveries"][0]["id"]

    for order in ("retry", "cancel", "drop"):
        answer = filled.client.post(f"{V1}/deliveries/{id}/{order}", json={})
        assert (answer.status_code, answer.json()["detail"]) == (
            409,
            f"delivery {id} is left alone: it is delivered",
        )


# reload


def test_a_good_edit_is_put_into_force_and_told(serve, event, sent) -> None:
    serving = serve()
    file = serving.folder / "gateway.toml"
    file.write_text(file.read_text().replace("{{ state.message }}", "new: {{ state.message }}"))

    told = serving.client.post("/api/v1/reload", json={})

    assert (told.status_code, told.json()["changes"]) == (200, ["handler 'failed': message changed"])
    serving.post(event())
    serving.gateway.drain()
    assert [message.body for message in sent.messages] == ["new: the table is gone"]


def test_a_bad_edit_is_refused_with_its_place_and_the_last_good_one_stays(serve, event, sent) -> None:
    serving = serve()
    file = serving.folder / "gateway.toml"
    file.write_text(file.read_text().replace('state = "Failed"', 'when = "state is faild"'))

    answer = serving.client.post("/api/v1/reload", json={})

    assert (answer.status_code, answer.json()["accepted"]) == (422, False)
    [problem] = answer.json()["problems"]
    assert (problem["file"], problem["line"], problem["column"], problem["hint"]) == (str(file), 4, 18, "failed")
    serving.post(event())
    serving.gateway.drain()
    assert len(sent.messages) == 1


def test_an_edit_of_the_server_takes_effect_at_the_next_start(serve) -> None:
    serving = serve()
    file = serving.folder / "gateway.toml"
    file.write_text(file.read_text() + 'max_body = "1KiB"\n')

    told = serving.client.post("/api/v1/reload", json={}).json()

    assert told["changes"] == ["[server] changed: takes effect at the next start"]
    assert serving.client.get("/livez").status_code == 200


def test_requests_go_on_while_the_configuration_is_edited(serve, event) -> None:
    serving = serve()
    file = serving.folder / "gateway.toml"
    good = file.read_text()
    ended = threading.Event()
    answers = []

    def send() -> None:
        while not ended.is_set():
            answers.append(serving.post(event(state={"type": "Success"})).status_code)

    sender = threading.Thread(target=send)
    sender.start()
    for number in range(10):
        file.write_text(good.replace("{{ state.message }}", str(number)) if number % 2 else "broken")
        serving.client.post("/api/v1/reload", json={})
    ended.set()
    sender.join()

    assert set(answers) == {202}


# health


def test_a_gateway_that_is_open_lives_and_is_ready(serve) -> None:
    client = serve().client

    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    assert client.head("/readyz").content == b""


def test_metrics_tell_of_the_gateway_and_of_its_requests(serve, event) -> None:
    serving = serve()
    serving.post([event(), {"x": 1}])
    serving.client.post("/api/v1/transitions", content=b"{}", headers={"content-type": "text/plain"})
    serving.client.get("/no-such-place")
    serving.client.request("PURGE", "/livez")

    answer = serving.client.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=")
    for line in (
        'gateway_transitions_total{matched="true",source="event"} 1.0',
        'gateway_http_requests_total{method="POST",route="/api/v1/transitions",status="202"} 1.0',
        'gateway_http_requests_total{method="POST",route="/api/v1/transitions",status="415"} 1.0',
        'gateway_http_requests_total{method="GET",route="(none)",status="404"} 1.0',
        'gateway_http_requests_total{method="(other)",route="(none)",status="405"} 1.0',
        'gateway_transitions_refused_total{reason="malformed"} 1.0',
        'gateway_transitions_refused_total{reason="unsupported"} 1.0',
        'gateway_http_request_duration_seconds_count{route="/api/v1/transitions"} 2.0',
        "gateway_http_requests_in_flight 1.0",
    ):
        assert line in answer.text, answer.text


def test_times_are_told_with_their_zone(filled) -> None:
    told = delivery(filled, "box")

    assert datetime.fromisoformat(told["created_at"]).tzinfo is not None
    assert datetime.fromisoformat(told["created_at"]) <= datetime.now(UTC)


def test_events_that_were_not_understood_are_listed_page_by_page(serve) -> None:
    serving = serve()
    for number in range(3):
        serving.client.post("/api/v1/lineage", json={"number": number})

    first = serving.client.get("/api/v1/refused?limit=2").json()
    second = serving.client.get(f"/api/v1/refused?limit=2&before={first['next']}").json()

    assert [json.loads(one["event"])["number"] for one in first["refused"] + second["refused"]] == [2, 1, 0]
    assert (second["next"], second["refused"][0]["source"]) == (None, "openlineage")
    assert second["refused"][0]["complaint"] == "eventTime: is missing; run: is missing; job: is missing"
    assert serving.client.get("/api/v1/refused?limit=0").status_code == 422
