"""Verdict: what an answer means for the transitions that were sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from gateway.client.wire import Answer

LONGEST_WAIT = 300.0
"""Seconds that an answer can ask us to wait: it may be wrong."""


@dataclass(frozen=True, slots=True)
class Taken:
    """They are on the gateway's disk, but for those it will never take: their position, and what is wrong."""

    rejected: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Apart:
    """Not like this: they are to be sent in smaller parts.

    Attributes:
        why: what was wrong with them together.
        is_gateways: whether a gateway says so, whose word about a single one is final.
    """

    why: str
    is_gateways: bool = True


@dataclass(frozen=True, slots=True)
class Later:
    """Not now.

    Attributes:
        why: in a few words; it is logged when it changes.
        for_somebody: whether it will not mend itself: a token is wrong, or this is no gateway.
        wait: seconds that the answer asks for; ``None`` if it does not.
        may_be_theirs: whether the cause may be in what was sent.
    """

    why: str
    for_somebody: bool = False
    wait: float | None = None
    may_be_theirs: bool = False


Verdict = Taken | Apart | Later


def judge(answer: Answer, sent: int, now: float) -> Verdict:
    """What ``answer`` to so many transitions that were ``sent`` means, at ``now`` in seconds since 1970.

    Only what a gateway says of single transitions loses them their place in the spool, and only if it speaks of all
    that were sent. All else may come from a proxy, or from something else at its address.
    """
    match answer.status:
        case 202 | 422 if _spoken_of(answer) == sent:
            return Taken(_complaints(answer.body))
        case 400 if detail := _detail(answer):
            return Apart(detail)
        case 413:  # proxies have limits of their own
            return Apart(_detail(answer) or "answered with 413", is_gateways=_detail(answer) != "")
        case 401 | 403:
            return Later(f"the gateway refuses the token: {answer.status} {_detail(answer)}".strip(), True)
        case 408 | 425 | 429 | 500 | 502 | 503 | 504:
            why = f"the gateway takes nothing at present: {answer.status} {_detail(answer)}".strip()
            return Later(why, wait=_wait(answer.retry_after, now), may_be_theirs=answer.status == 500)
    return Later(f"no gateway answers at this address: {answer.status} {_detail(answer)}".strip(), True)


def _spoken_of(answer: Answer) -> int:
    """Of how many transitions it says what has become of them; 0 if it is no gateway's."""
    told = _read(answer.body)
    counts = [told.get("accepted"), told.get("duplicates")]
    numbers = [count for count in counts if type(count) is int and count >= 0]
    return sum(numbers) + len(_complaints(answer.body)) if len(numbers) == len(counts) else 0


def _complaints(body: bytes) -> dict[int, tuple[str, ...]]:
    errors = _read(body).get("errors")
    if not isinstance(errors, list):
        return {}
    return {
        one["index"]: tuple(map(str, one.get("complaints") or ()))
        for one in errors
        if isinstance(one, dict) and type(one.get("index")) is int
    }


def _detail(answer: Answer) -> str:
    """What the answer says of itself; of pages that others send, nothing."""
    return str(_read(answer.body).get("detail") or "")[:200]


def _read(body: bytes) -> dict[str, object]:
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _wait(retry_after: str, now: float) -> float | None:
    """Seconds, of a number of them or of a date (RFC 9110, 10.2.3)."""
    try:
        seconds = float(retry_after) if retry_after.isdecimal() else _date(retry_after) - now
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), LONGEST_WAIT)


def _date(text: str) -> float:
    return parsedate_to_datetime(text).timestamp()
