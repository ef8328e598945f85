"""Words: what engines call their states, as types of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.spelling import nearest
from gateway.states import STATES

_WORDS: Mapping[str, str] = {
    "Scheduled": "scheduled created requested",
    "Pending": "pending notready",
    "Queued": "queued waiting blocked",
    "Submitted": "submitted starting initializing dispatched",
    "Running": "running started start begin inprogress active executing resumed",
    "Retrying": "retrying retry upforretry awaitingretry restarting",
    "Paused": "paused suspended suspend onhold deferred upforreschedule",
    "Cancelling": "cancelling canceling stopping terminating",
    "Success": "success succeeded successful complete completed completion passed ok done finished neutral",
    "Skipped": "skipped skip omitted",
    "Cached": "cached",
    "Cancelled": "cancelled canceled aborted abort stopped terminated killed revoked",
    "Failed": "failed failure fail error errored failing broken startupfailure",
    "TimedOut": "timedout timeout deadlineexceeded tasksetruntimeout expired",
    "TriggerFailed": "upstreamfailed",
    "Crashed": "crashed crash oomkilled evicted infrastructurefailure",
    "Lost": "lost stale zombie",
    "Late": "late overdue",
    "RolledBack": "rolledback",
}
_PUNCTUATION = re.compile(r"[\s_.-]+")

KNOWN: Mapping[str, str] = {
    **{word: type for type, words in _WORDS.items() for word in words.split()},
    **{_PUNCTUATION.sub("", type).casefold(): type for type in STATES},
}
"""The type each word stands for; words are in small letters, without punctuation."""


def type_of(word: str, declared: Mapping[str, str]) -> str | None:
    """The type that ``word`` stands for: as ``declared``, else as most engines use it; ``None`` if neither says."""
    return declared.get(word) or KNOWN.get(_PUNCTUATION.sub("", word).casefold())


def likely(word: str, declared: Mapping[str, str]) -> str | None:
    """The word that may have been meant."""
    return nearest(word, [*declared, *STATES])
