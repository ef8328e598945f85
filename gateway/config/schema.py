"""The JSON Schema of the configuration, by which editors complete and check it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from gateway.config.duration import format_duration
from gateway.config.listen import Listen
from gateway.config.models import Config
from gateway.config.size import Size
from gateway.config.url import UrlText

_DIALECT = "http://json-schema.org/draft-07/schema#"
"""The newest dialect that the TOML plugins of the common editors all speak."""


def json_schema(config: Config | None = None) -> dict[str, Any]:
    """The schema; with ``config``, keys that name channels offer the channels it declares."""
    schema = Config.model_json_schema(by_alias=True, ref_template="#/definitions/{model}", schema_generator=_Generator)
    schema = {"$schema": _DIALECT, **schema, "title": "gateway configuration"}
    schema["definitions"] = schema.pop("$defs")
    _simplify(schema)
    if config is not None and config.channels:
        _offer_channels(schema["definitions"], sorted(config.channels))
    return schema


class _Generator(GenerateJsonSchema):
    """Tells defaults as they are written in TOML."""

    def encode_default(self, dft: Any) -> Any:
        match dft:
            case timedelta():
                return format_duration(dft)
            case UrlText():
                return dft.text
            case Listen() | Size():
                return str(dft)
        return super().encode_default(dft)


def _simplify(node: Any) -> None:
    """Take out what TOML has no use for: null, and titles that repeat the key. Works in place."""
    if isinstance(node, list):
        for item in node:
            _simplify(item)
        return
    if not isinstance(node, dict):
        return
    if isinstance(node.get("title"), str) and "$schema" not in node:
        del node["title"]
    _without_null(node)
    for item in node.values():
        _simplify(item)


def _without_null(node: dict[str, Any]) -> None:
    if {"type": "null"} not in node.get("anyOf", ()):
        return
    del node["default"]
    options = [option for option in node.pop("anyOf") if option != {"type": "null"}]
    node.update(options[0] if len(options) == 1 else {"anyOf": options})


def _offer_channels(definitions: dict[str, Any], names: list[str]) -> None:
    """Narrow every key that names channels to ``names``."""
    channel, group = definitions["ChannelConfig"]["properties"], definitions["GroupConfig"]["properties"]
    gateway, handler = definitions["GatewayConfig"]["properties"], definitions["HandlerConfig"]["properties"]
    name = {"type": "string", "enum": names}
    channel["fallback"].update(name)
    for key in (group["all"], gateway["ops"], handler["to"]):
        _, many = key["anyOf"]
        key["anyOf"] = [name, {**many, "items": name}]
