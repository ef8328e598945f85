"""init, check and schema."""

from __future__ import annotations

import json

import pytest

BAD = """
[channel.box]
url = "record://box"
[[handler]]
name = "late"
when = "state is faild"
to   = "bx"
"""
UNUSED = """
[channel.box]
url = "record://box"
[channel.spare]
url = "record://spare"
[[handler]]
name = "all"
to   = "box"
"""
SECRET = """
[channel.box]
url = { env = "NOT_SET_ANYWHERE" }
[[handler]]
name = "all"
to   = "box"
"""

TOKEN = """
[channel.box]
url = "record://box"
[[handler]]
name = "all"
to   = "box"
[server]
token = { env = "NOT_SET_ANYWHERE" }
"""


def test_check_resolves_the_token_of_the_server_too(gateway, declare) -> None:
    declare(TOKEN)

    checked, offline = gateway("check"), gateway("check", "--offline")

    assert (checked.returncode, offline.returncode) == (1, 0)
    assert "config/gateway.toml:8:9: error: server.token: the environment variable 'NOT_SET_ANYWHERE'" in checked.stderr


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ('{ env = "NOT_SET_ANYWHERE" }', "the environment variable 'NOT_SET_ANYWHERE' is not set"),
        ('"postgresql://u:hun/ter2@db/x"', "the address of the store has a character in the wrong place"),
    ],
)
def test_check_looks_at_the_address_of_the_store_too(gateway, declare, url, said) -> None:
    declare(f"{TOKEN.partition('[server]')[0]}[store]\nurl = {url}\n")

    checked, offline = gateway("check"), gateway("check", "--offline")

    assert (checked.returncode, offline.returncode) == (1, 0)
    assert f"config/gateway.toml:8:7: error: store.url: {said}" in checked.stderr
    assert "ter2" not in checked.stderr


@pytest.mark.parametrize("command", ["status", "deliveries", "migrate", "run"])
def test_an_address_of_the_store_that_is_not_set_is_told_with_its_place(gateway, declare, command) -> None:
    declare(f'{TOKEN.partition("[server]")[0]}[store]\nurl = {{ env = "NOT_SET_ANYWHERE" }}\n')

    ended = gateway(command)

    assert ended.returncode == 1
    assert "config/gateway.toml:8:7: error: store.url: the environment variable" in ended.stderr


def test_init_writes_a_configuration_that_checks_without_secrets_or_warnings(gateway, tmp_path) -> None:
    made = gateway("init")
    checked = gateway("check", "--strict")

    assert (made.returncode, checked.returncode) == (0, 0)
    assert "wrote config/handlers.toml" in made.stdout
    assert checked.stdout == "config: 5 handlers, 4 channels\n"
    assert checked.stderr == ""
    assert json.loads((tmp_path / "config" / "gateway.schema.json").read_text())["title"] == "gateway configuration"


def test_init_goes_into_the_folder_it_is_given(gateway, tmp_path) -> None:
    made = gateway("init", "alerts")

    assert made.stdout.endswith("Next: gateway check --config alerts/config\n")
    assert (tmp_path / "alerts" / "templates" / "failed.md.j2").is_file()


def test_init_overwrites_nothing(gateway, project) -> None:
    (project / "config" / "channels.toml").write_text("mine")
    (project / "config" / "handlers.toml").unlink()

    refused = gateway("init")

    assert refused.returncode == 1
    assert "already there: config/channels.toml" in refused.stderr
    assert (project / "config" / "channels.toml").read_text() == "mine"
    assert not (project / "config" / "handlers.toml").exists()


def test_check_tells_every_problem_with_its_line_and_a_mark_below_it(gateway, declare) -> None:
    declare(BAD)

    checked = gateway("check")

    assert checked.returncode == 1
    assert "config/gateway.toml:6:" in checked.stderr
    assert "unknown test 'faild' (did you mean 'failed'?)" in checked.stderr
    assert '    6 | when = "state is faild"\n' in checked.stderr
    assert "there is no channel 'bx' (did you mean 'box'?)" in checked.stderr
    assert checked.stderr.endswith("2 errors\n")


def test_check_tells_the_same_to_machines(gateway, declare) -> None:
    declare(BAD)

    checked = gateway("check", "--json")

    assert checked.returncode == 1
    told = json.loads(checked.stdout)
    assert not told["ok"]
    assert [(problem["line"], problem["severity"]) for problem in told["problems"]] == [(6, "error"), (7, "error")]


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--strict"], 1)], ids=["lenient", "strict"])
def test_warnings_count_as_errors_only_when_asked_for(gateway, declare, options, code) -> None:
    declare(UNUSED)

    checked = gateway("check", *options)

    assert checked.returncode == code
    assert "nobody sends to this channel" in checked.stderr


@pytest.mark.parametrize(("options", "code"), [([], 1), (["--offline"], 0)], ids=["connected", "offline"])
def test_a_missing_secret_is_a_problem_unless_offline(gateway, declare, options, code) -> None:
    declare(SECRET)

    checked = gateway("check", *options)

    assert checked.returncode == code
    assert ("NOT_SET_ANYWHERE" in checked.stderr) == bool(code)


def test_schema_offers_the_declared_channels(gateway, declare) -> None:
    declare(UNUSED)

    printed = gateway("schema")

    assert json.loads(printed.stdout)["title"] == "gateway configuration"
    assert '"spare"' in printed.stdout


def test_schema_needs_no_configuration(gateway) -> None:
    assert json.loads(gateway("schema").stdout)["title"] == "gateway configuration"


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "--config", "nowhere"],
        ["run", "--config", "nowhere"],
        ["explain", "{}", "--config", "nowhere"],
        ["send", "box", "--config", "nowhere"],
        ["deliveries", "--config", "nowhere"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_configuration_that_is_not_there_is_wrong_usage(gateway, arguments) -> None:
    ended = gateway(*arguments)

    assert ended.returncode == 2
    assert ended.stderr.startswith("error: there is no nowhere")
    assert "gateway init" in ended.stderr


def test_a_file_that_cannot_be_written_is_an_error_in_one_line(gateway, tmp_path) -> None:
    (tmp_path / "config").write_text("a file where a folder should be")

    refused = gateway("init")

    assert refused.returncode == 1
    assert refused.stderr.startswith("error: ")
    assert len(refused.stderr.splitlines()) == 1
