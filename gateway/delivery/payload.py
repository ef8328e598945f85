"""Payload: a transition as JSON text, in the form that :mod:`gateway.sources.payload` reads, and back again.

Results, parameters and context are kept as plain data: what cannot be told in JSON becomes text.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pydantic import AwareDatetime, TypeAdapter

from gateway.states import PREDICATES, STATES, State
from gateway.transition import MAX_ITEMS, Obj, Transition, cut, plain, text_of

_instant = TypeAdapter(AwareDatetime).validate_python
"""Reads times as the source of the text did."""

_write = json.JSONEncoder(separators=(",", ":")).encode

log = logging.getLogger("gateway.delivery")

DEFAULT_SOURCE = "event"
"""Where a transition came from whose JSON does not say."""

LONGEST_TEXT = 64 * 1024
"""Characters; of a transition that came in a longer text, results and parameters are cut to what rules see of them."""

LARGEST_EXACT_INTEGER = 2**63 - 1
"""Larger integers become text: few readers of JSON keep them exact, and Python refuses to write the largest."""


def encode(transition: Transition) -> str:
    """``transition`` as one JSON object: the text it was read from, if that is not overlong.

    Of one that a program made with anything at all in its fields, only what happened to whom is kept.
    """
    if 0 < len(transition.text) <= LONGEST_TEXT:
        return transition.text
    try:
        return _write(_whole(transition))
    except Exception as error:
        log.warning("a transition could not be kept whole", extra={"id": transition.id, "error": type(error).__name__})
        return _write(_bare(transition))


def _whole(transition: Transition) -> dict[str, Any]:
    return {
        "id": transition.id,
        "source": transition.source,
        "occurred_at": transition.occurred_at.isoformat(),
        "obj": _obj(transition.obj),
        "old_state": None if transition.old_state is None else _state(transition.old_state),
        "new_state": _state(transition.state),
    }


def _bare(transition: Transition) -> dict[str, Any]:
    obj, old, new = transition.obj, transition.old_state, transition.state
    return {
        "id": transition.id,
        "source": transition.source,
        "occurred_at": transition.occurred_at.isoformat(),
        "obj": {"kind": obj.kind, "name": text_of(obj.name)},
        "old_state": None if old is None else {"type": old.type, "result": None},
        "new_state": {"type": new.type, "message": cut(text_of(new.message)), "result": None},
    }


def decode(text: str) -> Transition:
    """The transition that :func:`encode` wrote. Exceptions and objects in it stay the plain data they became."""
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


def _obj(obj: Obj) -> dict[str, Any]:
    written = {"kind": obj.kind, **_run(obj)}
    if obj.flow is not None:
        written["flow"] = _run(obj.flow)
    if obj.max_retries:
        written["max_retries"] = obj.max_retries
    if obj.map_index is not None:
        written["map_index"] = obj.map_index
    return written


def _run(obj: Obj) -> dict[str, Any]:
    written = {
        "name": obj.name,
        "run_id": obj.run_id,
        "run_name": obj.run_name,
        "tags": obj.tags[:MAX_ITEMS],
        "parameters": _json(plain(obj.parameters)),
        "labels": _json(plain(obj.labels)),
        "url": obj.url,
    }
    return {key: value for key, value in written.items() if value or key == "name"}


def _read_obj(written: Mapping[str, Any]) -> Obj:
    rest = {key: value for key, value in written.items() if key not in ("tags", "flow")}
    flow = written.get("flow")
    return Obj(
        **{"kind": "flow", **rest},
        tags=tuple(written.get("tags", ())),
        flow=None if flow is None else _read_obj(flow),
    )


def _state(state: State) -> dict[str, Any]:
    inner = getattr(state, "state", None)
    written = {
        "name": "" if state.name == state.type else state.name,
        "message": cut(text_of(state.message)),
        "context": _json(plain(state.context)),
        "start_time": None if state.start_time is None else state.start_time.isoformat(),
        "run_count": state.run_count,
        "state": None if inner is None else _state(inner),
    }
    return {
        "type": state.type,
        "timestamp": state.timestamp.isoformat(),
        "final": state.final,
        "result": _json(plain(state.result)),
        **{key: value for key, value in written.items() if value},
    }


def _read_state(written: Mapping[str, Any], occurred_at: datetime) -> State:
    fields = {key: written[key] for key in ("context", "name", "run_count", "final") if key in written}
    timestamp, start_time, inner = (written.get(key) for key in ("timestamp", "start_time", "state"))
    fields["timestamp"] = occurred_at if timestamp is None else _instant(timestamp)
    if start_time is not None:
        fields["start_time"] = _instant(start_time)
    if inner is not None and written["type"] in PREDICATES["meta_state"]:
        fields["state"] = _read_state(inner, occurred_at)
    return STATES[written["type"]](written.get("message"), written.get("result"), **fields)


def _json(value: Any) -> Any:
    """Plain data as JSON has it."""
    if value is None or type(value) is str:
        return value
    match value:
        case datetime() | date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case float() if not math.isfinite(value):
            return str(value)
        case bool():
            return value
        case int() if abs(value) > LARGEST_EXACT_INTEGER:
            return hex(value)
        case list():
            return [_json(item) for item in value]
        case dict():
            return {key: _json(item) for key, item in value.items()}
    return value
