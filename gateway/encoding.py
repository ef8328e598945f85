"""Encoding: a transition as JSON text, in the form that :mod:`gateway.sources.payload` reads.

Results, parameters and context are kept as plain data: what cannot be told in JSON becomes text. Needs the
standard library only: what hands transitions to a gateway elsewhere writes them with it, too.
"""

from __future__ import annotations

import json
import logging
import math
from datetime import date, datetime, timedelta
from typing import Any

from gateway.states import State
from gateway.transition import MAX_ITEMS, Obj, Transition, cut, plain, text_of

_write = json.JSONEncoder(separators=(",", ":")).encode

log = logging.getLogger("gateway.encoding")

LONGEST_TEXT = 64 * 1024
"""Characters; of a transition that came in a longer text, results and parameters are cut to what rules see of them."""

LONGEST_NAME = 1_000
"""Characters of a name, an id or a tag: what is longer is cut, for nobody would take it."""

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
        "name": obj.name[:LONGEST_NAME],
        "run_id": obj.run_id[:LONGEST_NAME],
        "run_name": obj.run_name[:LONGEST_NAME],
        "tags": [tag[:LONGEST_NAME] for tag in obj.tags[:MAX_ITEMS]],
        "parameters": _json(plain(obj.parameters)),
        "labels": _json(plain(obj.labels)),
        "url": cut(obj.url),
        "started_at": None if obj.started_at is None else obj.started_at.isoformat(),
        "log": list(map(cut, obj.log[:MAX_ITEMS])),
    }
    return {key: value for key, value in written.items() if value or key == "name"}


def _state(state: State) -> dict[str, Any]:
    inner = getattr(state, "state", None)
    written = {
        "name": "" if state.name == state.type else state.name[:LONGEST_NAME],
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
