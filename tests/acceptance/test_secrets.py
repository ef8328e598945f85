"""Secrets: with everything logged and everything failing, none is in any output."""

from __future__ import annotations

import socket
from contextlib import closing

import httpx

from gateway.testing import answer

TOKEN = "Token-Zx81Qv55Kp02Ww"
KEY = "Key-Mm47Tr90Bn63Hh21"
HOOK = "Hook-Pq19Xs44Ld"
PASSWORD = "Pass-Vy36Gc"
SLACK = "Slack0Ju72Fe08Re"
SECRETS = (TOKEN, KEY, HOOK, PASSWORD, SLACK)
LONG = 15.0

CONFIG = """
[gateway]
ops = ["log", "hook"]
[server]
listen    = "127.0.0.1:0"
token     = {{ env = "TEST_TOKEN" }}
signature = {{ file = "key" }}
[channel.hook]
url   = "json://{sink}/{hook}?+X-Key={hook}"
retry = {{ attempts = 2, first = "1ms", max = "1ms" }}
[channel.slack]
url   = "slack://T1JJ3T3L2/A1BRTD4JD/{slack}"
retry = {{ attempts = 1 }}
[channel.mail]
url     = "mailto://user:{{{{ secret('TEST_PASSWORD') }}}}@127.0.0.1:{nobody}?from=a@example.com&to=b@example.com"
timeout = "2s"
retry   = {{ attempts = 2, first = "1ms", max = "1ms" }}
[channel.log]
url = "console://"
[[handler]]
name = "all"
to   = ["hook", "mail", "log"]
[[handler]]
name = "never"
state = "Cached"
to   = "slack"
"""
EVENT = {"obj": {"kind": "task", "name": "load"}, "new_state": {"type": "Failed", "message": "gone"}}


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


def test_no_secret_is_in_any_output_however_much_fails(start, gateway, declare, sink, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TEST_TOKEN", TOKEN)
    monkeypatch.setenv("TEST_PASSWORD", PASSWORD)
    (tmp_path / "key").write_text(KEY)
    sink.behaviour = answer(401, f"who is {HOOK}?")
    text = CONFIG.format(sink=sink.address, hook=HOOK, slack=SLACK, nobody=free_port())
    declare(text)
    running = start("--log-level", "debug")
    said = []
    with httpx.Client(base_url=running.url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=LONG) as client:

        def ask(method: str, path: str, **named: object) -> httpx.Response:
            told = client.request(method, path, **named)  # type: ignore[arg-type]
            said.append(f"{told.headers}\n{told.text}")
            return told

        assert ask("POST", "/api/v1/transitions", json=[EVENT, {"x": 1}]).status_code == 202
        sink.wait_for(1, LONG)
        for wrong in ("Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", ""):
            ask("GET", "/api/v1/ledger", headers={"authorization": wrong})
        signed = {"authorization": "", "webhook-signature": "v1,x", "webhook-id": "1", "webhook-timestamp": "1"}
        ask("POST", "/api/v1/transitions", json=EVENT, headers=signed)
        declare(text.replace("Cached", "Cachd").replace("TEST_PASSWORD", "TEST_NOT_SET").replace("json://", "jsn://"))
        assert ask("POST", "/api/v1/reload", json={}).status_code == 422
        running.says("edit refused")
        declare(text + f'\n[[handler]]\nname = "{"x" * 200}"\nto = "hook"\n[other]\ntoken = "{TOKEN}"\n')
        ask("POST", "/api/v1/reload", json={})
        for path in ("transitions", "deliveries", "deliveries/3", "ledger", "openapi.json"):
            ask("GET", f"/api/v1/{path}")
        ask("GET", "/metrics")
        ask("POST", "/api/v1/explain", json=EVENT)
        for delivery in client.get("/api/v1/deliveries").json()["deliveries"]:
            ask("GET", f"/api/v1/deliveries/{delivery['id']}")
            ask("POST", f"/api/v1/deliveries/{delivery['id']}/retry", json={})
    running.end()
    declare(text)
    for command in (["deliveries"], ["deliveries", "--json"], ["check"], ["schema"], ["explain", "#3"]):
        ended = gateway(*command)
        said.append(ended.stdout + ended.stderr)

    for secret in SECRETS:
        assert secret not in running.said
        assert not [one for one in said if secret in one]
    assert "DEBUG" in running.said
    assert "Traceback" not in running.said
