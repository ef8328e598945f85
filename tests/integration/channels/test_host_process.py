"""A process that uses requests, smtplib or apprise for itself sees nothing of ours."""

from __future__ import annotations

import logging
import smtplib
import ssl
import subprocess
import sys
import threading
import warnings

import pytest
import requests

from gateway.channels import DELIVERED, Message, build, check_url
from gateway.testing import HttpSink, SmtpSink, answer

UNTOUCHED = """
import requests, smtplib, ssl, urllib3, logging, warnings
def picture():
    return [dict(vars(m)) for m in (requests, requests.sessions, requests.adapters, smtplib, ssl, urllib3)] + [
        dict(vars(requests.Session)), dict(vars(requests.adapters.HTTPAdapter)), dict(vars(smtplib.SMTP)),
        dict(vars(urllib3.HTTPSConnectionPool)), list(logging.root.handlers), list(warnings.filters),
    ]
import apprise.plugins.email.smtp
before = picture()
from gateway.channels import build, Message
for url in ("json://127.0.0.1:1", "mailto://127.0.0.1:1/?from=a@example.com&to=b@example.com&mode=insecure"):
    assert build("a", url).send(Message("x"), 2).reason == "refused"
print(picture() == before)
"""


def test_the_modules_of_the_process_are_the_same_afterwards() -> None:
    out = subprocess.run([sys.executable, "-c", UNTOUCHED], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "True"


def test_a_request_of_the_host_follows_redirects_keeps_its_adapters_and_is_not_noted(sink: HttpSink) -> None:
    assert build("hook", f"json://{sink.address}").send(Message("x"), 5) == DELIVERED
    session = requests.Session()
    sink.plan(answer(302, headers={"Location": "/elsewhere"}))

    response = session.get(sink.url)
    session.close()

    assert response.url.endswith("/elsewhere")
    assert type(session.adapters["http://"]) is requests.adapters.HTTPAdapter
    assert session.trust_env is True


def test_the_host_s_own_use_of_apprise_is_the_library_s(sink: HttpSink) -> None:
    build("hook", f"json://{sink.address}").send(Message("x"), 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import apprise

        own = apprise.Apprise()
        assert own.add(f"json://{sink.address}/own")
        sink.plan(answer(302, headers={"Location": f"{sink.url}/followed"}))

        assert own.notify("hello")

    assert sink.received[-1].path == "/followed"
    assert sink.received[-1].headers["user-agent"] == "Apprise"


def test_the_host_s_own_mail_and_tls_are_the_library_s() -> None:
    with SmtpSink() as server:
        build("mail", f"mailto://{server.address}/?from=a@example.com&to=b@example.com&mode=insecure").send(
            Message("x"), 5
        )

        with smtplib.SMTP("127.0.0.1", server.port) as own:
            own.sendmail("a@example.com", ["c@example.com"], "hello")

        assert server.mails[-1].recipients == ("c@example.com",)
    smtp = sys.modules["apprise.plugins.email.smtp"]
    assert smtp.smtplib.SMTP is smtplib.SMTP
    assert isinstance(smtp.ssl.create_default_context(), ssl.SSLContext)


def test_nothing_of_a_delivery_reaches_the_log_of_the_process(sink: HttpSink, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("apprise").setLevel(logging.DEBUG)
    try:
        sink.plan(answer(200), answer(500, "t0ken"))
        for _ in range(2):
            build("hook", f"json://{sink.address}/t0ken").send(Message("x"), 5)
        build("mail", f"mailto://{sink.address}/?from=a@example.com&to=b@example.com&mode=insecure").send(
            Message("x"), 1
        )
    finally:
        logging.getLogger("apprise").setLevel(logging.NOTSET)

    assert "t0ken" not in caplog.text, "urllib3 tells the path of every request"
    assert not [record for record in caplog.records if record.name == "apprise"]


def test_a_sound_url_is_sound_however_much_the_host_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "apprise")

    assert check_url("mailtos://user:pass@mail.example.org?to=a@example.org") == []


def test_the_host_s_own_requests_are_still_logged(sink: HttpSink, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    build("hook", f"json://{sink.address}").send(Message("x"), 5)

    requests.get(f"{sink.url}/own", timeout=5)

    assert "/own" in caplog.text


def test_what_the_host_logs_through_apprise_still_comes_out(caplog: pytest.LogCaptureFixture, sink: HttpSink) -> None:
    build("hook", f"json://{sink.address}").send(Message("x"), 5)

    logging.getLogger("apprise").warning("from the host")

    assert "from the host" in caplog.text


def test_attempts_of_several_threads_do_not_see_each_other() -> None:
    """One thread's refusal is never taken for another's answer."""
    with HttpSink(answer(503)) as down, HttpSink() as up:
        channels = [build("down", f"json://{down.address}"), build("up", f"json://{up.address}")] * 8
        kinds: list[tuple[str, str]] = []

        def send(name: str, index: int) -> None:
            kinds.extend((name, channels[index].send(Message("x"), 5).reason) for _ in range(10))

        threads = [threading.Thread(target=send, args=(c.name, i)) for i, c in enumerate(channels)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(kinds) == 160
    assert set(kinds) == {("down", "http_503"), ("up", "ok")}
