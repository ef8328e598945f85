from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateway.config import Sources, json_schema, load
from gateway.config.models import Config
from gateway.states import STATES

GOLDEN = Path(__file__).parents[2] / "golden" / "config"
SCHEMA = json_schema()


def accepts(schema: dict[str, Any], text: str) -> bool:
    return jsonschema.Draft7Validator(schema).is_valid(tomllib.loads(text))


def config_of(text: str) -> Config:
    config = load(Sources("a.toml", {"a.toml": text})).config
    assert config is not None
    return config


CHANNELS = """
[channel.screen]
url = "console://"
[channel.all]
all = ["screen"]
"""


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    json.dumps(SCHEMA)


def test_it_accepts_what_the_loader_accepts() -> None:
    assert accepts(SCHEMA, (GOLDEN / "good.toml").read_text().partition("-----")[0])


@pytest.mark.parametrize(
    "name",
    [
        "duration-number",
        "duration-unit",
        "empty-to",
        "group-with-url",
        "handler-single-bracket",
        "missing-name",
        "missing-url",
        "rate",
        "retry-attempts",
        "stop-text",
        "tags-list",
        "to-mixed",
        "unknown-format",
        "unknown-key-of-handler",
        "unknown-key-of-retry",
        "unknown-key-of-tags",
        "unknown-mode",
        "unknown-state",
        "unknown-table",
        "url-number",
        "url-two-references",
    ],
)
def test_editors_mark_what_the_loader_refuses(name: str) -> None:
    assert not accepts(SCHEMA, (GOLDEN / f"{name}.toml").read_text().partition("-----")[0])


def test_the_states_are_offered() -> None:
    state = SCHEMA["definitions"]["HandlerConfig"]["properties"]["state"]

    assert state["anyOf"][0]["enum"] == list(STATES)


def test_defaults_are_told_as_they_are_written() -> None:
    channel = SCHEMA["definitions"]["ChannelConfig"]["properties"]

    assert channel["timeout"]["default"] == "30s"
    assert SCHEMA["definitions"]["StoreConfig"]["properties"]["url"]["default"] == "sqlite:///var/gateway.db"


def test_every_key_is_described_and_none_may_be_null() -> None:
    for name, definition in SCHEMA["definitions"].items():
        for key, value in definition["properties"].items():
            assert value.get("description"), f"{name}.{key}"
    assert '"null"' not in json.dumps(SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        "[[handler]]\nname = 'a'\nto = 'scren'",
        "[[handler]]\nname = 'a'\nto = ['screen', 'scren']",
        "[gateway]\nops = 'scren'",
        "[channel.b]\nall = ['scren']",
        "[channel.b]\nurl = 'x://'\nfallback = 'scren'",
    ],
)
def test_a_schema_of_a_configuration_offers_its_channels(text: str) -> None:
    schema = json_schema(config_of(CHANNELS))

    assert accepts(SCHEMA, text)
    assert not accepts(schema, text)
    assert accepts(schema, text.replace("scren", "screen"))


def test_a_group_is_offered_as_a_channel() -> None:
    assert accepts(json_schema(config_of(CHANNELS)), "[[handler]]\nname = 'a'\nto = 'all'")
