"""docs/configuration.md and the models tell the same keys and defaults, and its examples load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config import Sources, json_schema, load
from gateway.config.models import (
    ChannelConfig,
    CloudEventsConfig,
    Config,
    GatewayConfig,
    GroupConfig,
    HandlerConfig,
    PrefectConfig,
    ReloadConfig,
    RetryConfig,
    ServerConfig,
    SourcesConfig,
    StoreConfig,
    Table,
    TagsConfig,
    TemplatesConfig,
)

PAGE = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
SECTIONS: dict[str, type[Table]] = {
    "`[channel.NAME]`": ChannelConfig,
    "`retry`": RetryConfig,
    "A name for several channels": GroupConfig,
    "`[[handler]]`": HandlerConfig,
    "`tags`": TagsConfig,
    "`[gateway]`": GatewayConfig,
    "`[templates]`": TemplatesConfig,
    "`[store]`": StoreConfig,
    "`[server]`": ServerConfig,
    "`[source.prefect]`": PrefectConfig,
    "`[source.cloudevents.NAME]`": CloudEventsConfig,
    "`[reload]`": ReloadConfig,
}
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
HEADING = re.compile(r"^##+ (.+)$", re.MULTILINE)


def rows(heading: str) -> dict[str, tuple[str, str, str]]:
    """Type, default and meaning by key, as the section of the page tells them."""
    section = HEADING.split(PAGE.partition(f"# {heading}\n")[2])[0]
    return {key: (kind, default, meaning) for key, kind, default, meaning in ROW.findall(section)}


def test_every_table_of_the_configuration_has_its_section() -> None:
    tables = set(json_schema()["definitions"])

    assert {model.__name__ for model in SECTIONS.values()} == tables - {SourcesConfig.__name__}
    assert {field.alias or name for name, field in Config.model_fields.items()} == {
        re.sub(r"[`\[\]]|\..*", "", heading) for heading in SECTIONS if heading.startswith("`[")
    }


@pytest.mark.parametrize(("heading", "model"), SECTIONS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_the_page_and_the_models_have_the_same_keys_in_the_same_order(heading: str, model: type[Table]) -> None:
    assert list(rows(heading)) == [field.alias or name for name, field in model.model_fields.items()]


@pytest.mark.parametrize(("heading", "model"), SECTIONS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_the_page_tells_the_defaults_of_the_models(heading: str, model: type[Table]) -> None:
    schema = json_schema()["definitions"][model.__name__]
    for key, (_, told, _) in rows(heading).items():
        default = schema["properties"][key].get("default")
        if key in schema.get("required", ()):
            assert told == "required", key
        elif default in (None, []):
            assert "`" not in told, key
            assert told != "required", key
        else:
            assert told == f"`{written(default)}`", key


def written(default: object) -> str:
    """A default as TOML writes it."""
    return f'"{default}"' if isinstance(default, str) else str(default).lower()


@pytest.mark.parametrize("example", re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))
def test_every_example_of_the_page_loads(example: str) -> None:
    problems = load(Sources("a.toml", {"a.toml": example})).problems

    assert [str(problem) for problem in problems if problem.severity == "error"] == []
