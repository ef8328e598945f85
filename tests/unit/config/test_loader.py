from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from gateway.config.document import Documents
from gateway.config.loader import Loaded, load
from gateway.config.models import ChannelConfig, GroupConfig
from gateway.config.rate import Rate
from gateway.config.source import KeyPath, Position
from gateway.config.sources import Sources
from gateway.config.url import EnvReference

CHANNELS = """\
[gateway]
ops = "screen"

[channel.oncall]
url = { env = "ONCALL" }
rate = "30/1m"
retry = { attempts = 3, max = "1h" }

[channel.screen]
url = "console://"

[channel.everyone]
all = ["oncall", "screen"]
"""
HANDLERS = """\
[[handler]]
name = "failed"
when = 'state is failed'
to = "oncall"

[[handler]]
name = "retrying"
on = "task"
state = ["Retrying"]
tags = { any = "prod", none = ["test"] }
to = ["oncall", "screen"]
message = \"\"\"
{{ task.name }}
again\"\"\"
"""


def load_texts(**texts: str) -> Loaded:
    return load(Sources("config", {f"config/{name}.toml": text for name, text in texts.items()}))


def test_files_are_joined_in_their_order() -> None:
    loaded = load_texts(a=CHANNELS, b=HANDLERS, c="[[handler]]\nname = 'last'\nto = 'screen'\n")

    assert loaded.problems == ()
    assert loaded.config is not None
    assert [handler.name for handler in loaded.config.handlers] == ["failed", "retrying", "last"]
    assert list(loaded.config.channels) == ["oncall", "screen", "everyone"]


def test_what_is_written_arrives_in_the_models() -> None:
    config = load_texts(a=CHANNELS, b=HANDLERS).config

    assert config is not None
    oncall, everyone, retrying = config.channels["oncall"], config.channels["everyone"], config.handlers[1]
    assert isinstance(oncall, ChannelConfig)
    assert oncall.url == EnvReference("ONCALL")
    assert oncall.rate == Rate(30, timedelta(minutes=1))
    assert (oncall.retry.attempts, oncall.retry.first, oncall.retry.max) == (
        3,
        timedelta(seconds=2),
        timedelta(hours=1),
    )
    assert isinstance(everyone, GroupConfig)
    assert everyone.all == ("oncall", "screen")
    assert config.gateway.ops == ("screen",)
    assert (retrying.on, retrying.state, retrying.to) == ("task", ("Retrying",), ("oncall", "screen"))
    assert (retrying.tags.any, retrying.tags.all, retrying.tags.none) == (("prod",), (), ("test",))
    assert retrying.message == "{{ task.name }}\nagain"


@pytest.mark.parametrize(
    ("path", "inside", "place"),
    [
        (("channel", "oncall", "url"), None, ("config/a.toml", 5, 7)),
        (("channel", "oncall", "timeout"), None, ("config/a.toml", 4, 1)),
        (("handler", 1, "when"), None, ("config/b.toml", 6, 1)),
        (("handler", "failed", "when"), (1, 10), ("config/b.toml", 3, 18)),
        (("handler", "retrying", "to", 1), None, ("config/b.toml", 11, 17)),
        (("handler", "failed", "to", 0), None, ("config/b.toml", 4, 6)),
        (("handler", "retrying", "message"), (2, 3), ("config/b.toml", 14, 3)),
        (("handler", "retrying", "tags", "none", 0), (1, 1), ("config/b.toml", 10, 33)),
        (("handler", "unheard of"), None, ("config/b.toml", 1, 3)),
        (("reload", "debounce"), None, ("config/a.toml", 1, 1)),
    ],
)
def test_every_key_is_found_in_its_file(
    path: KeyPath, inside: tuple[int, int] | None, place: tuple[str, int, int]
) -> None:
    assert load_texts(a=CHANNELS, b=HANDLERS).problem("error", path, "", inside=inside).position == Position(*place)


def test_callers_add_problems_of_their_own() -> None:
    loaded = load_texts(a=CHANNELS, b=HANDLERS)

    problem = loaded.problem("error", ("handler", 1, "to", 0), "there is no such channel", "screen")
    inside = loaded.problem("warning", ("handler", "failed", "when"), "odd", inside=(1, 7))
    template = loaded.template_problem("failed.md.j2", 3, 5, "unknown name 'tsk'", "task")

    assert str(problem) == (
        "config/b.toml:11:7: handler.retrying.to#1: there is no such channel (did you mean 'screen'?)"
    )
    assert str(inside) == "config/b.toml:3:15: handler.failed.when: odd"
    assert str(template) == "templates/failed.md.j2:3:5: unknown name 'tsk' (did you mean 'task'?)"


def test_an_element_of_a_list_written_as_one_text_is_told_as_that_text() -> None:
    problem = load_texts(a=CHANNELS, b=HANDLERS).problem("error", ("handler", "failed", "to", 0), "unknown")

    assert problem.key == "handler.failed.to"


def test_what_is_right_by_itself_can_be_checked_further() -> None:
    loaded = load_texts(a=CHANNELS + "rate = 3\n", b=HANDLERS + "stop = 1\n", c="[store]\nsync = 'on'\n")

    assert loaded.config is None
    assert [handler.name for handler in loaded.sound.handlers] == ["failed"]
    assert list(loaded.sound.channels) == ["oncall", "screen"]
    assert loaded.sound.store.sync == "full"
    assert loaded.channel_names == {"oncall", "screen", "everyone"}
    assert loaded.complete


def test_names_may_stand_in_a_file_that_cannot_be_parsed() -> None:
    loaded = load_texts(a="[channel.oncall", b=HANDLERS)

    assert not loaded.complete
    assert loaded.config is None


def test_the_problems_of_all_files_are_told_together_in_their_order() -> None:
    loaded = load_texts(a="[store]\nsync = 1\nx = 2", b="y = ", c="[gatewy]\n[[handler]]\n")

    places = [(problem.file, problem.line) for problem in loaded.problems]
    assert places == [
        ("config/a.toml", 2),
        ("config/a.toml", 3),
        ("config/b.toml", 1),
        ("config/c.toml", 1),
        ("config/c.toml", 2),
        ("config/c.toml", 2),
    ]


def test_a_configuration_that_tells_nobody_is_a_warning_only() -> None:
    loaded = load_texts(a=CHANNELS)

    assert [problem.severity for problem in loaded.problems] == ["warning"]
    assert loaded.config is not None


def test_nothing_at_all_loads() -> None:
    assert load(Sources("config", {})).config is not None


def test_a_second_load_parses_only_what_changed() -> None:
    documents = Documents()
    first = {"config/a.toml": CHANNELS, "config/b.toml": HANDLERS}
    load(Sources("config", first), documents)
    kept = documents.read("config/a.toml", CHANNELS)

    loaded = load(Sources("config", {**first, "config/b.toml": "[[handler]]\nname = 'new'\nto = 'screen'"}), documents)

    assert loaded.config is not None
    assert [handler.name for handler in loaded.config.handlers] == ["new"]
    assert documents.read("config/a.toml", CHANNELS) is kept


def test_a_file_that_went_away_is_not_kept() -> None:
    documents = Documents()
    load(Sources("config", {"config/a.toml": CHANNELS, "config/b.toml": HANDLERS}), documents)
    gone = documents.read("config/b.toml", HANDLERS)

    load(Sources("config", {"config/a.toml": CHANNELS}), documents)

    assert documents.read("config/b.toml", HANDLERS) is not gone


def test_the_files_behind_secrets_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_SECRETS_DIR", str(tmp_path))
    text = """
    channel.a.url = { file = "hooks/a" }
    channel.b.url = "mailto://{{ secret('USER') }}:{{ secret('PASS') }}@host"
    channel.c.url = { env = "C" }
    channel.d.all = ["a"]
    """

    loaded = load(Sources("/etc/gateway/config", {"/etc/gateway/config/a.toml": text}))

    assert loaded.secret_files == {"/etc/gateway/hooks/a", f"{tmp_path}/USER", f"{tmp_path}/PASS"}


SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"[channel.a]\nurl = ['{SECRET}']",
        f"[channel.a]\nurl = {{ env = 'A', token = '{SECRET}' }}",
        f"[channel.a]\nurl = 'x://{SECRET}{{{{ secrt() }}}}'",
        f"[channel.a]\nurl = 'x://{SECRET}'\ntimeout = 0",
        f"[channel]\na = 'x://{SECRET}'",
        f"[channel.a]\nurl = 'x://{SECRET}'\n[channel.a]\n",
        f"[channel.a]\nall = 'b'\nurl = '{SECRET}'",
        f"[store]\nurl = 'mysql://{SECRET}'",
    ],
)
def test_no_problem_shows_an_address(text: str) -> None:
    loaded = load_texts(a=text)

    assert any(problem.severity == "error" for problem in loaded.problems)
    assert SECRET not in repr(loaded.problems)
    assert SECRET not in repr(loaded.sound)
