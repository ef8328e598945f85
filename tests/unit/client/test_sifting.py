from __future__ import annotations

from collections.abc import Sequence

import pytest

from gateway.client.sifting import MOST_IN_VAIN, sift

LINES = [b"%d" % number for number in range(500)]


class Failing:
    """A gateway that fails on some transitions, and counts what it is asked."""

    def __init__(self, *lines: bytes) -> None:
        self.lines, self.taken, self.requests = set(lines), list[bytes](), 0

    def passes(self, lines: Sequence[bytes]) -> bool:
        self.requests += 1
        if self.lines.intersection(lines):
            return False
        self.taken += [line for line in lines if line not in self.taken]
        return True


@pytest.mark.parametrize("poison", [[b"0"], [b"250"], [b"499"], [b"0", b"1", b"499"]])
def test_those_that_a_gateway_fails_on_are_found_and_all_others_are_taken_in_their_order(poison) -> None:
    gateway = Failing(*poison)

    assert sift(LINES, gateway.passes, lambda: False) == poison
    assert gateway.taken == [line for line in LINES if line not in poison]
    assert gateway.requests < 50


def test_a_gateway_that_fails_on_all_is_not_asked_for_each() -> None:
    gateway = Failing(*LINES)

    assert sift(LINES, gateway.passes, lambda: True) is None
    assert gateway.requests == MOST_IN_VAIN


@pytest.mark.parametrize(("others_pass", "expected"), [(True, [b"0"]), (False, None)])
def test_of_one_alone_tell_others_whether_it_is_to_blame(others_pass, expected) -> None:
    assert sift([b"0"], Failing(b"0").passes, lambda: others_pass) == expected


def test_what_passes_when_it_is_tried_again_is_not_to_blame() -> None:
    answers = iter([False, True, True])

    assert sift([b"0", b"1"], lambda lines: next(answers), lambda: False) == []
