"""Validation: parsed tables against the models, every complaint of pydantic told in our words.

Values are shown only where they cannot be a secret; pydantic's own messages never reach anybody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

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
from gateway.config.outline import KeyPath
from gateway.spelling import nearest

_SINGLE_TABLES: Mapping[str, type[Table]] = {
    "gateway": GatewayConfig,
    "templates": TemplatesConfig,
    "store": StoreConfig,
    "server": ServerConfig,
    "source": SourcesConfig,
    "reload": ReloadConfig,
}
_EXPECTED = {
    "string_type": "must be a text in quotes",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "tuple_type": 'must be a list of texts such as ["a", "b"]',
    "dict_type": "must be a table",
    "model_type": "must be a table",
}
_EXAMPLES = {"TagsConfig": 'such as { any = ["prod"] }', "RetryConfig": "such as { attempts = 5 }"}
_QUOTED = re.compile(r"'([^']*)'")


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something wrong with the tables themselves.

    Attributes:
        path: which key of the merged tables.
        message: what is wrong.
        hint: a replacement, if one can be guessed.
        about_key: it is the key that is wrong, not its value.
        inside: line and column in the value's text, if it is about a place in there.
    """

    path: KeyPath
    message: str
    hint: str | None = None
    about_key: bool = False
    inside: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Validated:
    """What came of a validation.

    Attributes:
        sound: the configuration without the tables that have complaints.
        complaints: everything that is wrong.
    """

    sound: Config
    complaints: tuple[Complaint, ...]


def validate(tables: Mapping[str, Any]) -> Validated:
    """Check ``tables``, those of all files together."""
    try:
        return Validated(Config.model_validate(tables), ())
    except ValidationError as error:
        # The values are used to tell what kind of thing was found, and to correct misspelt words of closed sets.
        details = error.errors(include_url=False)
    complaints = tuple(_complaint(detail) for detail in details)
    return Validated(Config.model_validate(_without(tables, complaints)), complaints)


def _without(tables: Mapping[str, Any], complaints: tuple[Complaint, ...]) -> dict[str, Any]:
    """``tables`` without every channel, handler or single table that is complained about."""
    broken = {complaint.path[:2] for complaint in complaints} | {complaint.path[:1] for complaint in complaints}
    sound = {key: value for key, value in tables.items() if (key,) not in broken}
    if isinstance(channels := tables.get("channel"), Mapping) and ("channel",) in broken:
        sound["channel"] = {name: value for name, value in channels.items() if ("channel", name) not in broken}
    if isinstance(sources := tables.get("source"), Mapping) and ("source",) in broken:
        sound["source"] = {name: value for name, value in sources.items() if ("source", name) not in broken}
    if isinstance(handlers := tables.get("handler"), list) and ("handler",) in broken:
        sound["handler"] = [value for index, value in enumerate(handlers) if ("handler", index) not in broken]
    return sound


def _complaint(detail: ErrorDetails) -> Complaint:
    kind, path, value = detail["type"], detail["loc"], detail["input"]
    context = detail.get("ctx", {})
    match kind:
        case "wrong":
            return _own(path, context)
        case "extra_forbidden":
            return _unknown_key(path)
        case "missing":
            return Complaint(_without_tag(path), f"is missing: {_meaning(path)}")
        case "literal_error":
            return Complaint(_without_tag(path), *_not_in_set(context["expected"], value))
        case "greater_than_equal":
            return Complaint(_without_tag(path), f"must be at least {context['ge']}")
        case "less_than_equal":
            return Complaint(_without_tag(path), f"must be at most {context['le']}")
    if path[:2] == ("source", "cloudevents") and len(path) == 3:
        return Complaint(path, "stands in a table with a name: [source.cloudevents.NAME]", about_key=True)
    example = _EXAMPLES.get(context.get("class_name", ""))
    expected = f"{_EXPECTED[kind]} {example}" if example else _EXPECTED[kind]
    return Complaint(_without_tag(path), f"{expected}, not {_kind_of(value)}")


def _own(path: KeyPath, context: Mapping[str, Any]) -> Complaint:
    """The complaint of one of the models' own validators."""
    if path[-1] == "[key]":
        return Complaint(path[:-1], context["message"], context["hint"], about_key=True)
    key = (context["key"],) if context["key"] else ()
    return Complaint((*_without_tag(path), *key), context["message"], context["hint"], inside=context.get("place"))


def _unknown_key(path: KeyPath) -> Complaint:
    known = [field.alias or name for name, field in _table_at(path[:-1]).model_fields.items()]
    hint = nearest(str(path[-1]), known)
    if path[2:3] == ("group",):
        message = "a channel that stands for others has no key but 'all'"
    elif hint:
        message = "unknown key"
    else:
        message = f"unknown key; known here: {', '.join(known)}"
    return Complaint(_without_tag(path), message, hint, about_key=True)


def _meaning(path: KeyPath) -> str:
    description = _table_at(path[:-1]).model_fields[str(path[-1])].description or ""
    return f"{description[:1].lower()}{description[1:].rstrip('.')}"


def _table_at(path: KeyPath) -> type[Table]:
    """The model of the table at pydantic's ``path``."""
    match path:
        case ("channel", _, "group"):
            return GroupConfig
        case ("channel", _, "channel"):
            return ChannelConfig
        case ("channel", _, "channel", _):
            return RetryConfig
        case ("handler", _):
            return HandlerConfig
        case ("handler", _, _):
            return TagsConfig
        case ("source", "prefect"):
            return PrefectConfig
        case ("source", "cloudevents", _):
            return CloudEventsConfig
        case (str(name),):
            return _SINGLE_TABLES[name]
    return Config


def _without_tag(path: KeyPath) -> KeyPath:
    """pydantic's path without the step that tells which kind of channel it is."""
    return path[:2] + path[3:] if path[0] == "channel" else path


def _not_in_set(expected: str, value: Any) -> tuple[str, str | None]:
    options = _QUOTED.findall(expected)
    return f"must be {expected}", nearest(value, options) if isinstance(value, str) else None


def _kind_of(value: Any) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case Mapping():
            return "a table"
    return "a date or time"
