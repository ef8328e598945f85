"""Payload: a kept transition read again, as :mod:`gateway.encoding` wrote it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import AwareDatetime, TypeAdapter

from gateway.states import PREDICATES, STATES, State
from gateway.transition import Obj, Transition

_instant = TypeAdapter(AwareDatetime).validate_python
"""Reads times as the source of the text did."""

DEFAULT_SOURCE = "event"
"""Where a transition came from whose JSON does not say."""


def decode(text: str) -> Transition:
    """The transition that :func:`gateway.encoding.encode` wrote. What became plain data in it stays that."""
    document = json.loads(text)
    occurred_at = _instant(document["occurred_at"]).astimezone(UTC)
    old_state = document.get("old_state")
    return Transition.of(
        _read_obj(document["obj"]),
        None if old_state is None else _read_state(old_state, occurred_at),
        _read_state(document["new_state"], occurred_at),
        id=document["id"],
        source=document.get("source", DEFAULT_SOURCE),
        occurred_at=occurred_at,
    )


def _read_obj(written: Mapping[str, Any]) -> Obj:
    rest = {key: value for key, value in written.items() if key not in ("tags", "flow", "started_at", "log")}
    flow, started_at = written.get("flow"), written.get("started_at")
    return Obj(
        **{"kind": "flow", **rest},
        tags=tuple(written.get("tags", ())),
        log=tuple(written.get("log", ())),
        started_at=None if started_at is None else _instant(started_at),
        flow=None if flow is None else _read_obj(flow),
    )


def _read_state(written: Mapping[str, Any], occurred_at: datetime) -> State:
    fields = {key: written[key] for key in ("context", "name", "run_count", "final") if key in written}
    timestamp, start_time, inner = (written.get(key) for key in ("timestamp", "start_time", "state"))
    fields["timestamp"] = occurred_at if timestamp is None else _instant(timestamp)
    if start_time is not None:
        fields["start_time"] = _instant(start_time)
    if inner is not None and written["type"] in PREDICATES["meta_state"]:
        fields["state"] = _read_state(inner, occurred_at)
    return STATES[written["type"]](written.get("message"), written.get("result"), **fields)
