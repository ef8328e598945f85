"""Nobody waits for an answer longer than they like, whatever the question does."""

from __future__ import annotations

import threading
import time

from gateway.errors import StoreError
from gateway.observe.metrics import Question

ANSWER = object()


def test_an_answer_is_passed_on() -> None:
    assert Question(lambda: ANSWER).ask(5.0) is ANSWER


def test_an_error_is_no_answer() -> None:
    def refused() -> object:
        raise StoreError("the query took too long")

    assert Question(refused).ask(5.0) is None


def test_a_question_that_hangs_is_asked_once_and_holds_up_nobody(until) -> None:
    asked, answered = [], threading.Event()

    def hanging() -> object:
        asked.append(None)
        answered.wait(20)
        return ANSWER

    question = Question(hanging)
    began = time.monotonic()

    assert [question.ask(0.05) for _ in range(3)] == [None] * 3
    assert time.monotonic() - began < 5
    assert len(asked) == 1

    answered.set()
    assert question.ask(5.0) is ANSWER
