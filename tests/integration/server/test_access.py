"""Who may ask: with a token, with a signature, or because only this machine can."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from itertools import product

import pytest

from gateway.config import Sources, load
from gateway.errors import ConfigError
from gateway.server import declared_access

PATH = "/api/v1/transitions"
KEY = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WITH_KEY = f'signature = "whsec_{KEY}"\n'
OPEN = ["/livez", "/readyz"]
CLOSED = [
    ("GET", PATH),
    ("GET", f"{PATH}/x"),
    ("GET", "/api/v1/deliveries"),
    ("GET", "/api/v1/deliveries/1"),
    ("GET", "/api/v1/refused"),
    ("GET", "/api/v1/ledger"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/metrics"),
    ("POST", PATH),
    ("POST", "/api/v1/lineage"),
    ("POST", "/api/v1/cloudevents"),
    ("POST", "/api/v1/explain"),
    ("POST", "/api/v1/reload"),
    ("POST", "/api/v1/deliveries/1/retry"),
    ("POST", "/api/v1/deliveries/1/cancel"),
    ("POST", "/api/v1/deliveries/1/drop"),
]


def ask(serving, method, path, **headers):
    body = {"json": {}} if method == "POST" else {}
    return serving.client.request(method, path, headers=headers, **body)


def test_every_route_is_either_open_or_asks_for_the_token(serve) -> None:
    serving = serve(token=True)

    told = serving.client.get("/api/v1/openapi.json").json()["paths"]

    routes = {(method.upper(), path.replace("{id}", "1")) for path, methods in told.items() for method in methods}
    assert routes == {*((m, p.replace("/x", "/1")) for m, p in CLOSED), *(("GET", path) for path in OPEN)}


WRONG = (
    "",
    "Bearer",
    "Bearer,",
    "Bearer wrong",
    "Basic {}",
    "{}",
    "Bearer {}x",
    "Bearer {} x",
    "Bearer \u00e9",
    "Bearer=",
)


def test_nothing_is_told_or_done_without_the_token(serve) -> None:
    serving = serve(token=True, authorization="")

    for (method, path), given in product(CLOSED, WRONG):
        answer = ask(serving, method, path, authorization=given.format(serving.token).encode("latin-1"))

        assert answer.status_code == 401, (method, path, given)
        assert answer.headers["www-authenticate"].startswith("Bearer ")
        assert answer.headers["content-type"] == "application/problem+json"
        assert serving.token not in answer.text
    assert ask(serving, "GET", "/api/v1/ledger").status_code == 401


@pytest.mark.parametrize("path", OPEN)
def test_health_needs_no_token(serve, path) -> None:
    assert serve(token=True, authorization="Bearer wrong").client.get(path, headers={"host": "pod"}).status_code == 200


def test_the_token_opens_everything_whatever_the_host(serve) -> None:
    serving = serve(token=True)

    for method, path in CLOSED:
        answer = ask(serving, method, path, host="gateway.example.org", origin="https://example.org")
        assert answer.status_code not in (401, 403, 421), (method, path)


HOSTS_OF_OURS = ("127.0.0.1", "127.8.8.8:1", "localhost:8787", "LOCALHOST", "[::1]:8787")
HOSTS_OF_OTHERS = ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "[", "@", "a@b:c")


def test_without_a_token_only_this_machine_by_its_own_name_is_answered(serve) -> None:
    serving = serve()

    for host in HOSTS_OF_OURS:
        assert ask(serving, "GET", "/api/v1/ledger", host=host).status_code == 200, host
    for host, (method, path) in product(HOSTS_OF_OTHERS, CLOSED):
        assert ask(serving, method, path, host=host).status_code == 421, (host, path)


def test_a_page_from_elsewhere_can_do_nothing(serve) -> None:
    serving = serve()

    for origin, (method, path) in product(("https://evil.example", "null", "http://127.0.0.1", "http://x:1"), CLOSED):
        assert ask(serving, method, path, origin=origin).status_code == 403, (origin, path)


def test_what_a_browser_sends_without_asking_first_is_refused(serve) -> None:
    serving = serve()
    kinds = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "")

    for kind, (method, path) in product(kinds, CLOSED):
        if method == "POST":
            answer = serving.client.post(path, content=b"{}", headers={"content-type": kind})
            assert answer.status_code == 415, (kind, path)
    assert serving.client.post("/api/v1/reload").status_code == 415


def test_no_page_is_ever_allowed_to_ask(serve) -> None:
    answer = serve().client.options(PATH, headers={"origin": "http://x", "access-control-request-method": "POST"})

    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


# signatures


def signed(
    body: bytes, key: bytes = base64.b64decode(KEY), at: float | None = None, id: str = "msg-1"
) -> dict[str, str]:
    """The headers of Standard Webhooks for ``body``."""
    at = int(time.time() if at is None else at)
    digest = hmac.new(key, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": signature}


def send(serving, body, headers):
    return serving.client.post(PATH, content=body, headers={"content-type": "application/json", **headers})


@pytest.mark.parametrize("token", [True, False])
def test_a_signed_body_is_taken_without_the_token(serve, event, token) -> None:
    serving = serve(WITH_KEY, token=token, authorization="")
    body = json.dumps(event()).encode()

    assert send(serving, body, signed(body)).status_code == 202
    assert send(serving, body, {}).status_code == 401


@pytest.mark.parametrize(
    ("path", "kind"), [("lineage", "application/json"), ("cloudevents", "application/cloudevents+json")]
)
def test_signed_events_of_open_standards_are_looked_at_without_the_token(serve, path, kind) -> None:
    serving = serve(WITH_KEY, token=True, authorization="")

    def sent(headers: dict[str, str]) -> int:
        kinds = {"content-type": kind, **headers}
        return serving.client.post(f"/api/v1/{path}", content=b"{}", headers=kinds).status_code

    assert (sent(signed(b"{}")), sent({}), sent(signed(b"{ }"))) == (422, 401, 401)


def test_the_token_is_enough_too(serve, event) -> None:
    body = json.dumps(event()).encode()

    assert send(serve(WITH_KEY, token=True), body, {}).status_code == 202


def test_one_of_several_signatures_is_enough_while_keys_are_changed(serve, event) -> None:
    body = json.dumps(event()).encode()
    headers = signed(body)
    headers["webhook-signature"] = f"v1,AAAA {headers['webhook-signature']} v2,BBBB"

    assert send(serve(WITH_KEY), body, headers).status_code == 202


@pytest.mark.parametrize(
    "spoil",
    [
        lambda headers: {**headers, "webhook-signature": "v1,"},
        lambda headers: {**headers, "webhook-signature": headers["webhook-signature"][3:]},
        lambda headers: {**headers, "webhook-id": "msg-2"},
        lambda headers: {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)},
        lambda headers: {**headers, "webhook-timestamp": "now"},
        lambda headers: {key: value for key, value in headers.items() if key != "webhook-timestamp"},
        lambda headers: {key: value for key, value in headers.items() if key != "webhook-id"},
    ],
)
def test_a_signature_of_something_else_is_refused(serve, event, spoil) -> None:
    serving = serve(WITH_KEY)
    body = json.dumps(event()).encode()

    assert send(serving, body, spoil(signed(body))).status_code == 401
    assert send(serving, body + b" ", signed(body)).status_code == 401
    assert send(serving, body, signed(body, key=b"another key")).status_code == 401
    assert serving.gateway.store.counters()["transitions"] == 0


@pytest.mark.parametrize("age", [301, -301, 86400])
def test_an_old_signature_is_refused(serve, event, age) -> None:
    body = json.dumps(event()).encode()

    assert send(serve(WITH_KEY), body, signed(body, at=time.time() - age)).status_code == 401


def test_a_signature_opens_nothing_but_the_taking_of_transitions(serve) -> None:
    serving = serve(WITH_KEY, token=True, authorization="")

    answer = serving.client.post(
        "/api/v1/reload", content=b"{}", headers={"content-type": "application/json", **signed(b"{}")}
    )

    assert answer.status_code == 401


# as declared


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('token = "short"', "a.toml:2:9: server.token: a token has at least 16"),
        ('token = "with blanks in between it"', "a.toml:2:9: server.token: a token has at least 16"),
        (
            'token = { env = "GATEWAY_NOT_SET" }',
            "a.toml:2:9: server.token: the environment variable 'GATEWAY_NOT_SET' is not",
        ),
        ('signature = "short"', "a.toml:2:13: server.signature: the key of signatures has at least 16"),
        ('signature = "whsec_not base 64 at all"', "a.toml:2:13: server.signature: a key that begins with 'whsec_'"),
    ],
)
def test_a_secret_that_is_none_is_told_with_its_place_and_without_its_value(table, said) -> None:
    loaded = load(Sources("a.toml", {"a.toml": f"[server]\n{table}\n"}))

    with pytest.raises(ConfigError) as refused:
        declared_access(loaded)

    assert str(refused.value).startswith(said)
    assert "blanks in" not in str(refused.value)


def test_what_may_be_asked_for_does_not_show_its_secrets() -> None:
    access = declared_access(load(Sources("a.toml", {"a.toml": f'[server]\ntoken = "{"t" * 20}"\n{WITH_KEY}'})))

    assert "ttt" not in repr(access)
    assert access.token == b"t" * 20
