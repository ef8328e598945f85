"""The transport by itself."""

from __future__ import annotations

import gzip
import time

import pytest
import requests

from gateway.channels.attempt import Answer, Attempt, Fault, attempting
from gateway.channels.transport import MAX_BODY, Transport
from gateway.testing import HttpSink, answer, hang


@pytest.fixture
def attempt() -> Attempt:
    return Attempt(time.monotonic() + 5, Transport())


def test_an_answer_is_noted_with_the_beginning_of_its_body(sink: HttpSink, attempt: Attempt) -> None:
    sink.plan(answer(429, "slow down", {"Retry-After": "3"}))

    with attempting(attempt):
        response = attempt.transport.request("POST", sink.url, data="x")

    assert response.text == "slow down"
    assert attempt.events == [Answer(429, "3", b"slow down")]


def test_a_body_beyond_the_limit_is_cut_even_when_it_came_compressed(sink: HttpSink, attempt: Attempt) -> None:
    sink.plan(answer(200, gzip.compress(b"0" * (20 * MAX_BODY)), {"Content-Encoding": "gzip"}))

    with attempting(attempt):
        response = attempt.transport.request("GET", sink.url)

    assert len(response.content) == MAX_BODY


def test_redirects_are_followed_only_on_demand(sink: HttpSink, attempt: Attempt) -> None:
    sink.behaviour = answer(302, headers={"Location": "/"})
    sink.plan(answer(302, headers={"Location": "/"}), answer(302, headers={"Location": "/there"}), answer(200))

    with attempting(attempt):
        assert attempt.transport.request("GET", sink.url).status_code == 302
        assert attempt.transport.request("GET", sink.url, allow_redirects=True).url.endswith("/there")
        with pytest.raises(requests.TooManyRedirects):
            attempt.transport.request("GET", sink.url, allow_redirects=True)

    assert isinstance(attempt.events[-1], Fault)


def test_headers_of_a_request_go_over_the_usual_ones_whatever_their_case(sink: HttpSink, attempt: Attempt) -> None:
    with attempting(attempt):
        attempt.transport.request("GET", sink.url, headers={"user-AGENT": "mine"}, params={"a": "1"})

    assert sink.received[0].headers["user-agent"] == "mine"


def test_a_plugin_s_own_shorter_timeout_holds(sink: HttpSink, attempt: Attempt) -> None:
    sink.plan(hang())

    with attempting(attempt), pytest.raises(requests.ReadTimeout):
        attempt.transport.request("GET", sink.url, timeout=(1, 0.1))

    assert attempt.remaining() > 3


def test_outside_an_attempt_nothing_is_sent(sink: HttpSink) -> None:
    with pytest.raises(RuntimeError, match="no attempt"):
        Transport().request("GET", sink.url)

    assert sink.received == []


def test_a_closed_transport_connects_anew(sink: HttpSink, attempt: Attempt) -> None:
    with attempting(attempt):
        attempt.transport.request("GET", sink.url)
        attempt.transport.close()

        assert attempt.transport.request("GET", sink.url).ok
