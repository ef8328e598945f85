"""Plugins that do what no plugin should: a channel reports it and never raises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from apprise.manager_plugins import NotificationManager
from apprise.plugins.base import NotifyBase

from gateway.channels import Message, build, check_url
from gateway.channels.services import service
from gateway.channels.transport import Transport
from gateway.testing import HttpSink


class Explosive(NotifyBase):
    """A service of one's own: ``explosive://making``, ``explosive://sending`` or ``explosive://failing``."""

    service_name = "Explosive"
    protocol = "explosive"
    setup_url = "about:blank"
    templates = ("{schema}://{host}",)

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        if self.host == "making":
            raise KeyError("s3cret")

    def send(self, body: str, **options: object) -> bool:
        if self.host == "sending":
            raise LookupError("s3cret token")
        self.logger.warning("The server at %s said: Connection refused", self.host)
        return False

    def url(self, privacy: bool = False, *args: object, **kwargs: object) -> str:
        return f"explosive://{self.host}"


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    service("none such")  # loads them all
    manager = NotificationManager()
    assert manager.add(Explosive, schemas="explosive")
    yield
    manager.remove("explosive")


def test_a_plugin_that_cannot_be_made_is_a_problem_of_the_url() -> None:
    assert check_url("explosive://making/s3cret") == [
        "cannot be read as a URL of Explosive; it looks like explosive://{host}; see about:blank"
    ]


def test_a_plugin_that_raises_while_sending_is_an_outcome() -> None:
    outcome = build("own", "explosive://sending").send(Message("x"), 1)

    assert (outcome.kind, outcome.reason) == ("temporary", "plugin_error")
    assert outcome.detail.startswith("LookupError")


def test_a_plugin_that_only_logs_is_read_by_its_log() -> None:
    outcome = build("own", "explosive://failing").send(Message("x"), 1)

    assert (outcome.kind, outcome.reason) == ("temporary", "refused")
    assert outcome.detail == "The server at *** said: Connection refused"


def test_a_transport_that_fails_in_its_own_way_is_an_outcome(sink: HttpSink) -> None:
    class Broken(Transport):
        def request(self, method: str, url: str, **options: object) -> None:  # type: ignore[override]
            raise RuntimeError("out of sockets")

    outcome = build("hook", f"json://{sink.address}", transport=Broken()).send(Message("x"), 1)

    assert (outcome.kind, outcome.reason, outcome.detail) == (
        "temporary", "plugin_error", "RuntimeError: out of sockets"
    )  # fmt: skip


def test_a_header_that_cannot_be_sent_is_the_channel_s_matter(sink: HttpSink) -> None:
    outcome = build("hook", f"json://{sink.address}?+X-Note=a%0d%0ab").send(Message("x"), 1)

    assert (outcome.kind, outcome.reason) == ("channel", "bad_address")
    assert sink.received == []
