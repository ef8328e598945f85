"""Hostile data through real templates and the services' real plugins: what arrives calls nobody and hides no link."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from gateway.channels import Message, build
from gateway.channels.transport import Transport
from gateway.format import Format
from gateway.rules.escape import INVISIBLE
from gateway.rules.template import compile_template
from gateway.states import Failed, Running
from gateway.testing import HttpSink, SmtpSink, answer
from gateway.transition import Obj, Transition

HOSTILE = """\
<!channel> <!here|all of you> <!subteam^S1> <@U123> <@!9> <@&8> <#C1|general> @everyone @here @channel @all
[click me](http://evil.example/a) ![pixel](http://evil.example/b.png) <http://evil.example/c|your bank> [d][e]
[e]: http://evil.example/e
<b>bold</b> <a href="http://evil.example/f">your bank</a> <img src=http://evil.example/g> <script>x</script>
&lt;!channel&gt; &#60;b&#62;
# heading
| a | b |
|---|---|
\u202e gnp.exe\x07"""
NAME = "lo<b>a</b>d [x](http://evil.example/t) <!here> @everyone\n<@U1>"

CLOUD = {
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "slack, blocks": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ?blocks=yes",
    "slack, as markdown": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ?format=markdown",
    "discord": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
    "discord, embedded": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js?format=markdown",
    "telegram": "tgram://123456789:AAE_secretSecretSecretSecretSecretSe/12315544",
    "telegram, as markdown": "tgram://123456789:AAE_secretSecretSecretSecretSecretSe/12315544?format=markdown",
}
LOCAL = {"mattermost": "mmost://127.0.0.1:{port}/abcdefghijkl", "json": "json://127.0.0.1:{port}/hook"}
HOSTS = ("hooks.slack.com", "slack.com", "discord.com", "api.telegram.org")

MENTION = re.compile(r"@(everyone|here|channel|all)\b|<[!@#&]", re.IGNORECASE)
HIDDEN_LINK = re.compile(r"(?<!\\)\]\(|<https?:[^>]*\|")


@pytest.fixture
def service() -> Iterator[HttpSink]:
    """Answers as all of the services would."""
    with HttpSink() as running:
        running.behaviour = answer(200, '{"ok": true, "result": {}}', {"Content-Type": "application/json"})
        yield running


def hostile() -> Transition:
    obj = Obj("task", NAME, flow=Obj("flow", "etl"))
    at = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    return Transition.of(obj, Running(timestamp=at), Failed(HOSTILE, timestamp=at), id="id", occurred_at=at)


def message(format: Format) -> Message:
    template = compile_template(title="{{ task.name }}", message="It says: {{ state.message }}.", on="task")
    rendered = template.render(hostile(), format)
    return Message(rendered.message, rendered.title, format=rendered.format)


def texts(value: object) -> list[str]:
    """Every text in a JSON document."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("format", ["text", "markdown", "html"])
@pytest.mark.parametrize("name", [*CLOUD, *LOCAL])
def test_what_arrives_mentions_nobody_and_hides_no_link(name: str, format: Format, service: HttpSink) -> None:
    port = service.url.rpartition(":")[2]
    transport = Transport(routes=dict.fromkeys(HOSTS, service.url))
    url = {**CLOUD, **LOCAL}[name].format(port=port)

    build("oncall", url, transport=transport).send(message(format), 10)

    [request] = service.received
    arrived = texts(json.loads(request.body))
    assert any("evil.example" in text for text in arrived)  # the data is there, only harmless
    for text in arrived:
        assert not MENTION.search(text)
        assert not HIDDEN_LINK.search(text)
        assert "\u202e" not in text and "\x07" not in text


@pytest.mark.parametrize("format", ["text", "markdown", "html"])
def test_telegram_gets_no_tag_out_of_the_data(format: Format, service: HttpSink) -> None:
    transport = Transport(routes=dict.fromkeys(HOSTS, service.url))

    build("oncall", CLOUD["telegram"], transport=transport).send(message(format), 10)

    sent = service.received[0].json()
    if sent["parse_mode"] == "HTML":
        assert set(Tags.of(sent["text"])) <= {"b"}  # the title stands in bold


class Tags(HTMLParser):
    """Collects the tags of a document."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)

    @classmethod
    def of(cls, document: str) -> list[str]:
        parser = cls()
        parser.feed(document)
        return parser.found


@pytest.mark.parametrize("format", ["text", "markdown", "html"])
def test_mail_has_no_tag_link_or_header_out_of_the_data(format: Format) -> None:
    with SmtpSink() as server:
        url = f"mailto://{server.address}?from=gateway@example.org&to=ana@example.org"
        build("mail", url).send(message(format), 10)
        [mail] = server.wait_for(1)

    parsed = mail.message
    assert str(parsed["subject"]).replace(INVISIBLE, "").startswith("lo<b>a</b>d")
    assert "\n" not in str(parsed["subject"])
    for part in parsed.walk():
        if part.get_content_type() == "text/html":
            assert set(Tags.of(part.get_content())) <= {"p", "br", "html", "head", "body"}
