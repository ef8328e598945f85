from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.client.sender import LONGEST_PAUSE, pause
from gateway.client.verdict import LONGEST_WAIT, Apart, Later, Taken, Verdict, judge
from gateway.client.wire import Answer

WRONG = {"errors": [{"index": 1, "complaints": ["obj: is missing"]}]}
NOW = 1_772_445_600.0  # Mon, 02 Mar 2026 10:00:00 GMT


def judged(status: int, body: Any = None, retry_after: str = "") -> Verdict:
    """What is made of an answer to two transitions."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return judge(Answer(status, retry_after, text), 2, NOW)


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (202, {"accepted": 2, "duplicates": 0}, Taken()),
        (202, {"accepted": 1, "duplicates": 0, **WRONG}, Taken({1: ("obj: is missing",)})),
        (202, {"accepted": 0, "duplicates": 2}, Taken()),
        (
            422,
            {"accepted": 0, "duplicates": 0, "errors": [*WRONG["errors"], {"index": 0}]},
            Taken({1: ("obj: is missing",), 0: ()}),
        ),
        (413, {"detail": "a body has at most 4 MiB"}, Apart("a body has at most 4 MiB")),
        (413, b"<html>too large</html>", Apart("answered with 413", is_gateways=False)),
        (400, {"detail": "not JSON"}, Apart("not JSON")),
    ],
)
def test_what_a_gateway_says_of_transitions_is_believed(status: int, body: Any, verdict: Verdict) -> None:
    assert judged(status, body) == verdict


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"accepted": 1}),
        (202, b"<html>a portal</html>"),
        (202, b"["),
        (202, {"accepted": 1, "duplicates": 0}),
        (202, {"accepted": 3, "duplicates": -1}),
        (202, {"accepted": True, "duplicates": 1}),
        (202, {"accepted": 2}),
        (400, b"<html>The plain HTTP request was sent to HTTPS port</html>"),
        (422, {"accepted": 0, "duplicates": 0, **WRONG}),
        (204, b""),
        (301, b""),
        (401, {"detail": "the token is wrong"}),
        (403, {}),
        (404, b"not here"),
        (415, {}),
        (421, {}),
        (422, {"detail": "from a proxy"}),
    ],
)
def test_what_somebody_must_mend_keeps_all_transitions(status: int, body: Any) -> None:
    verdict = judged(status, body)

    assert isinstance(verdict, Later)
    assert verdict.for_somebody


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("3", 3),
        ("0", 0),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("9999999", LONGEST_WAIT),
        ("Mon, 02 Mar 2026 10:00:07 GMT", 7),
        ("Mon, 02 Mar 2026 09:00:00 GMT", 0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_gateway_that_takes_nothing_now_is_asked_again_when_it_says(
    status: int, retry_after: str, seconds: float | None
) -> None:
    verdict = judged(status, {"detail": "full"}, retry_after)

    assert isinstance(verdict, Later)
    assert verdict.wait == seconds
    assert not verdict.for_somebody


def test_pauses_grow_and_are_spread_and_bounded() -> None:
    assert [pause(n, None, 1.0) for n in (1, 2, 3, 4)] == [0.25, 0.5, 1.0, 2.0]
    assert pause(1_000, None, 1.0) == LONGEST_PAUSE
    assert pause(3, None, 0.0) == 0.5
    assert 7 <= pause(1, 7, 0.5) < 7.25


@pytest.mark.parametrize(("status", "expected"), [(500, True), (502, False), (503, False), (429, False), (401, False)])
def test_only_a_gateway_that_fails_may_do_so_because_of_what_was_sent(status: int, expected: bool) -> None:
    verdict = judged(status, b"Internal Server Error")

    assert isinstance(verdict, Later)
    assert verdict.may_be_theirs == expected
