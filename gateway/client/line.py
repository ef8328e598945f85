"""Line: a transition as it stands in a spool, and as it is sent."""

from __future__ import annotations

import json
import re

from gateway.encoding import encode
from gateway.transition import Transition

_HALVES = re.compile(r"(\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2})|\\ud[89a-f][0-9a-f]{2}")
"""Escapes of half a character, which no reader of UTF-8 takes; first what only looks like one."""


def line_of(transition: Transition) -> bytes:
    """``transition`` as one line of JSON, with the newline."""
    text = encode(transition)
    if "\\ud" in text:
        text = _HALVES.sub(lambda found: found[1] or "\\ufffd", text)
    if "\n" in text or "\r" in text:  # only between the parts of JSON: inside of texts they are escaped
        text = text.replace("\n", " ").replace("\r", " ")
    return text.encode() + b"\n"


def slimmed(line: bytes) -> bytes | None:
    """``line`` without what may be large: parameters, results, logs. ``None`` if it is none of ours or had nothing."""
    try:
        event = json.loads(line)
        slim = json.dumps(_slim(event), separators=(",", ":")).encode()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return slim if len(slim) < len(line) else None


def _slim(event: dict[str, object]) -> dict[str, object]:
    """Without the keys whose values are as large as the user makes them."""
    large = {"parameters", "labels", "log", "result", "context"}
    return {key: _slim(value) if isinstance(value, dict) else value for key, value in event.items() if key not in large}
