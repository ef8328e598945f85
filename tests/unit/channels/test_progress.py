"""Which pieces of a message have arrived."""

from __future__ import annotations

from apprise.plugins.base import _delivery_tracker

from gateway.channels.progress import MEMORY, Progress


def attempt(progress: Progress, key: str, *pieces: str) -> set[str]:
    """Take ``pieces`` during one attempt; what had been taken before."""
    with progress.of(key):
        taken = _delivery_tracker.get()
        before = set(taken)
        taken.update(pieces)
    return before


def test_a_retry_knows_what_arrived_before() -> None:
    progress = Progress()

    attempt(progress, "one", "a")
    attempt(progress, "one", "b")

    assert attempt(progress, "one") == {"a", "b"}
    assert attempt(progress, "two") == set()


def test_a_delivered_message_is_forgotten() -> None:
    progress = Progress()
    attempt(progress, "one", "a")

    progress.forget("one")

    assert attempt(progress, "one") == set()


def test_messages_without_a_key_are_never_mixed_up() -> None:
    progress = Progress()
    attempt(progress, "", "a")

    assert attempt(progress, "") == set()


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    progress = Progress()
    for number in range(MEMORY + 1):
        attempt(progress, str(number), "a")

    assert attempt(progress, "0") == set()
    assert attempt(progress, "1") == {"a"}


def test_outside_an_attempt_apprise_tracks_nothing() -> None:
    attempt(Progress(), "one", "a")

    assert _delivery_tracker.get() is None
