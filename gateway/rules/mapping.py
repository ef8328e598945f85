"""Mappings: expressions over a CloudEvent that say what it tells of which run.

The language is that of ``when``, compiled and run in the same way; only what it can see is another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from jinja2 import Undefined

from gateway.errors import LanguageError
from gateway.rules.expression import compile_function, lowered_in
from gateway.rules.lowering import Lowered
from gateway.rules.operators import described
from gateway.rules.schema import ANY, DATETIME, STR, Field, Model, Root, Ty, TypeName

ValueKind = Literal["text", "number", "time", "list", "mapping", "anything"]


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """An event as it came, in any of the three forms. What its sender left out is empty.

    Attributes:
        id: unlike those of all other events of its source.
        source: what it is about, in the words of its sender.
        type: what happened, likewise.
        subject: what of the source.
        time: when.
        datacontenttype: what the data was written in.
        dataschema: where the form of the data is told.
        extensions: all other attributes.
        data: what it carries: JSON as data, anything else as text.
    """

    id: str
    source: str
    type: str
    subject: str = ""
    time: datetime | None = None
    datacontenttype: str = ""
    dataschema: str = ""
    extensions: dict[str, Any] = field(default_factory=dict)
    data: Any = None


CLOUD_EVENT_MODEL = Model(
    "CloudEvent",
    "a CloudEvent as it came",
    fields={
        "id": Field(STR, "tells it from all other events of its source"),
        "source": Field(STR, "what it is about, in the words of its sender"),
        "type": Field(STR, "what happened, in the words of its sender"),
        "subject": Field(STR, "what of the source; empty when not told"),
        "time": Field(DATETIME.or_none(), "when it happened; none when not told"),
        "datacontenttype": Field(STR, "what its data was written in; empty when not told"),
        "dataschema": Field(STR, "where the form of its data is told; empty when not told"),
        "extensions": Field(Ty("dict", item=ANY), "its other attributes, by their names"),
        "data": Field(ANY, "what it carries: JSON as data, anything else as text"),
    },
)
SCOPE: Mapping[str, Root] = {
    "event": Root(Ty("model", CLOUD_EVENT_MODEL), "e", "the event"),
    "data": Root(ANY, "e.data", "what it carries, the same as `event.data`"),
    "extensions": Root(Ty("dict", item=ANY), "e.extensions", "its other attributes, the same as `event.extensions`"),
}
"""What expressions of a mapping can see."""

FITTING: Mapping[ValueKind, frozenset[TypeName]] = {
    "text": frozenset({"str", "int", "float", "bool", "datetime", "any"}),
    "number": frozenset({"int", "any"}),
    "time": frozenset({"datetime", "str", "int", "float", "any"}),
    "list": frozenset({"list", "str", "any"}),
    "mapping": frozenset({"dict", "list", "any"}),
    "anything": frozenset({"str", "int", "float", "bool", "datetime", "timedelta", "list", "dict", "any", "none"}),
}
"""Types of expressions whose value may be what is needed; of the others it never is."""

KEYS: Mapping[str, ValueKind] = {
    "name": "text",
    "run_id": "text",
    "run_name": "text",
    "state": "text",
    "old_state": "text",
    "message": "text",
    "result": "anything",
    "flow": "text",
    "flow_run_id": "text",
    "tags": "list",
    "parameters": "mapping",
    "labels": "mapping",
    "url": "text",
    "run_count": "number",
    "max_retries": "number",
    "map_index": "number",
    "started_at": "time",
    "start_time": "time",
    "occurred_at": "time",
}
"""The keys of a mapping that are expressions, beside its condition, and what their values must be."""

NEEDED: Mapping[ValueKind, str] = {
    "text": "text",
    "number": "a whole number",
    "time": "a time, or a text such as '2026-03-29T01:30:00Z'",
    "list": "a list of texts",
    "mapping": "a mapping, or a list of mappings with 'name' and 'value'",
    "anything": "a value",
}
"""The kinds of values in words."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """An expression of a mapping: its text, what its value must be, and the function that computes it of an event."""

    source: str
    kind: ValueKind
    compute: Callable[[CloudEvent], Any]

    def value(self, event: CloudEvent) -> Any:
        """Its value of ``event``; ``None`` if there is none. Raises what the expression raises."""
        found = self.compute(event)
        return None if isinstance(found, Undefined) else found


@lru_cache(1024)
def compile_mapped(source: str, kind: ValueKind) -> Mapped:
    """The expression ``source``, whose value is to be of ``kind``.

    Raises:
        LanguageError: it is wrong, or its value can never be that.
    """
    lowered = _lowered(source)
    if lowered.ty.name not in FITTING[kind]:
        raise LanguageError(f"must give {NEEDED[kind]}, and gives {described(lowered.ty)}")
    return Mapped(source, kind, compile_function(lowered.text, [lowered]))


def _lowered(source: str) -> Lowered:
    try:
        return lowered_in(SCOPE, source)
    except LanguageError as error:
        if source.isidentifier() and not error.hint:  # most likely a word that is meant as it stands
            raise LanguageError(
                f"{error.message}; a text is written as '\"{source}\"'", error.line, error.column
            ) from None
        raise


@lru_cache(1024)
def compile_taking(source: str) -> Callable[[CloudEvent], bool]:
    """The condition ``source`` on events.

    Raises:
        LanguageError: it is wrong.
    """
    lowered = lowered_in(SCOPE, source)
    compute = compile_function(lowered.text, [lowered])
    return lambda event: bool(compute(event))
