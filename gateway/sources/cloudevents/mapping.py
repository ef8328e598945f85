"""Mapping: from a CloudEvent to a transition, by the first ``[source.cloudevents.NAME]`` that takes it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gateway.compile import EventMapping
from gateway.encoding import LONGEST_NAME
from gateway.errors import PayloadError
from gateway.rules.mapping import CloudEvent
from gateway.sources.cloudevents.values import Unfit, fitted, labels_of
from gateway.sources.cloudevents.words import likely, type_of
from gateway.sources.reading import ALL_BUT, Ignored, Reported, check_time, id_of
from gateway.states import STATES, State
from gateway.transition import Obj, Transition, cut

SOURCE = "cloudevents"

NO_TABLE = Ignored("no_table")

_NAMES = ("name", "run_id", "run_name", "state", "old_state", "flow", "flow_run_id")
"""Values that are at most as long as names are."""


def read_event(event: CloudEvent, mappings: Sequence[EventMapping], now: datetime) -> tuple[Reported, ...] | Ignored:
    """What ``event`` tells, by the first of ``mappings`` that takes it.

    Raises:
        PayloadError: a mapping takes it, and it does not have what that needs; says which key of which table.
    """
    for mapping in mappings:
        told = _Told(mapping, event)
        if told.is_taken():
            return (told.reported(now),)
    return NO_TABLE


class _Told:
    """What one event tells by one mapping; collects complaints as it goes."""

    def __init__(self, mapping: EventMapping, event: CloudEvent) -> None:
        self._mapping, self._event = mapping, event
        self._complaints: list[str] = []
        self._values: dict[str, Any] = {}

    def is_taken(self) -> bool:
        """Whether the mapping is for the event."""
        try:
            return self._mapping.takes(self._event)
        except Exception as error:
            raise PayloadError([self._about("when", f"cannot be told: {error}")]) from None

    def reported(self, now: datetime) -> Reported:
        """The transition it tells of.

        Raises:
            PayloadError: there is anything wrong.
        """
        self._values = {key: value for key in self._mapping.values if (value := self._value(key)) is not None}
        type = self._type("state")
        old_type = self._type("old_state") if "old_state" in self._values else None
        at = self._values.get("occurred_at") or self._event.time or now
        if self._complaints:
            raise PayloadError(self._complaints)
        check_time("time", at, now)
        obj, state = self._obj(), self._state(type, at)
        old_state = STATES[old_type](name=self._values["old_state"], timestamp=at) if old_type else None
        id = id_of(self._event.source, self._event.id)
        transition = Transition.of(obj, old_state, state, id=id, source=SOURCE, occurred_at=at)
        return Reported(transition, None if old_state else ALL_BUT[type])

    # values

    def _value(self, key: str) -> Any:
        mapped = self._mapping.values[key]
        try:
            value = fitted(mapped.value(self._event), mapped.kind)
        except Unfit as error:
            return self._complain(key, str(error))
        except Exception as error:
            return self._complain(key, f"cannot be computed: {error}")
        if value is None and key in ("name", "state"):
            return self._complain(key, "there is nothing of it in this event")
        if key in _NAMES and value is not None and not 0 < len(value) <= LONGEST_NAME:
            return self._complain(key, f"must have 1 to {LONGEST_NAME} characters, and has {len(value)}")
        return value

    def _type(self, key: str) -> str:
        """The type that the word at ``key`` stands for."""
        word = self._values.get(key)
        if word is None:
            return "State"
        declared = self._mapping.written.states
        type = type_of(word, declared)
        if type is None:
            hint = likely(word, declared)
            meaning = f"states = {{ {word[:100]!r} = {hint or 'Failed'!r} }}"
            self._complain(key, f"{word[:100]!r} is no state that is known; say what it means, such as {meaning}")
        return type or "State"

    def _complain(self, key: str, message: str) -> None:
        self._complaints.append(self._about(key, message))

    def _about(self, key: str, message: str) -> str:
        mapped = self._mapping.values.get(key)
        text = self._mapping.written.when if mapped is None else mapped.source
        return f"[source.cloudevents.{self._mapping.name}] {key} = {' '.join((text or '').split())[:100]}: {message}"

    # what they make up

    def _state(self, type: str, at: datetime) -> State:
        values = self._values
        fields = {key: values[key] for key in ("result", "start_time", "run_count") if key in values}
        message = cut(values["message"]) if "message" in values else None
        return STATES[type](message, name=values["state"], timestamp=at, **fields)

    def _obj(self) -> Obj:
        values, kind = self._values, self._mapping.written.kind
        obj = Obj(
            kind,
            values["name"],
            values.get("run_id", ""),
            values.get("run_name", ""),
            values.get("tags", ()),
            values.get("parameters", {}),
            labels_of(values.get("labels", {})),
            url=cut(values.get("url", "")),
            max_retries=values.get("max_retries", 0),
            map_index=values.get("map_index"),
            started_at=values.get("started_at"),
        )
        if kind == "task" and ("flow" in values or "flow_run_id" in values):
            obj.flow = Obj("flow", values.get("flow", ""), values.get("flow_run_id", ""))
        return obj
