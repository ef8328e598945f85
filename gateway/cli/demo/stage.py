"""The demo's stage: servers on loopback, a folder with the configuration, a gateway open on it that serves HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from gateway.app import Gateway
from gateway.cli.demo.declaration import Declaration
from gateway.cli.output import fail
from gateway.reload import Reloaded
from gateway.server import Server, open_door
from gateway.testing import HttpSink, Mail, Received, SmtpSink

SLACK_URL = "slack://T0DEMO000/B0DEMO000/nobodyKnowsThisToken0000"
SLACK_HOST = "hooks.slack.com"
MAIL_PARAMETERS = "mode=insecure&from=gateway@example.com&to=data@example.com"
PATIENCE = 5.0
"""Seconds the demo waits for a message, or for a reload, before it calls it missing."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything the demo plays with.

    Attributes:
        declaration: the configuration, to be edited.
        gateway: open on it.
        slack: speaks the protocol of Slack's webhooks.
        mail: a mail server.
        server: the gateway's own, for transitions that come by HTTP.
        reloads: the records of reloads not looked at yet.
    """

    declaration: Declaration
    gateway: Gateway
    slack: HttpSink
    mail: SmtpSink
    server: Server
    reloads: SimpleQueue[Reloaded]

    def next_reload(self) -> Reloaded:
        """Wait for an edit to be noticed; end the demo if it is not."""
        try:
            return self.reloads.get(timeout=PATIENCE)
        except Empty:
            fail("the edit was not noticed")

    def requests(self, count: int) -> list[Received]:
        """All requests so far, once there are ``count``; end the demo if there never are."""
        try:
            return self.slack.wait_for(count, PATIENCE)
        except TimeoutError as error:
            fail(f"Slack: {error}")

    def mails(self, count: int) -> list[Mail]:
        """All mails so far, once there are ``count``; end the demo if there never are."""
        try:
            return self.mail.wait_for(count, PATIENCE)
        except TimeoutError as error:
            fail(f"mail: {error}")


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Set the stage in ``folder``, for the length of a ``with`` block."""
    from gateway.channels.transport import Transport  # late: apprise and requests cost 100 ms and 20 MB

    with ExitStack() as stack:
        slack, mail = stack.enter_context(HttpSink()), stack.enter_context(SmtpSink())
        declaration = Declaration(folder)
        declaration.set_channel("oncall", "url", f'"{SLACK_URL}"')
        declaration.set_channel("mail", "url", f'"mailto://{mail.address}?{MAIL_PARAMETERS}"')
        declaration.add("server.toml", '[server]\nlisten = "127.0.0.1:0"\n')
        transport = Transport(routes={SLACK_HOST: slack.url})
        stack.callback(transport.close)
        reloads: SimpleQueue[Reloaded] = SimpleQueue()
        gateway = stack.enter_context(Gateway(declaration.path, on_reload=reloads.put, transport=transport))
        server = stack.enter_context(Server(gateway, open_door(gateway.ruleset.loaded)))
        yield Stage(declaration, gateway, slack, mail, server, reloads)
