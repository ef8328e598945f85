"""The recording channel."""

from __future__ import annotations

import threading
import time

import pytest

from gateway.channels import DELIVERED, Message, RecordChannel, build, recording
from gateway.errors import ChannelError


def test_what_was_sent_is_found_again_by_the_name_in_the_url() -> None:
    recording("found").clear()

    build("ops", "record://found").send(Message("hello"), 1)

    assert [message.body for message in recording("found").messages] == ["hello"]


def test_a_rebuilt_channel_goes_on_with_the_same_recording() -> None:
    recording("rebuilt").clear()

    for body in ("first", "second"):
        build("ops", "record://rebuilt").send(Message(body), 1)

    assert [message.body for message in recording("rebuilt").messages] == ["first", "second"]


@pytest.mark.parametrize("kind", ["temporary", "permanent", "channel", "unknown"])
def test_the_first_sends_fail_as_told(kind: str) -> None:
    channel = build("ops", f"record://failing-{kind}?fail=2&outcome={kind}")

    kinds = [channel.send(Message(str(number)), 1).kind for number in range(3)]

    assert kinds == [kind, kind, "delivered"]
    assert [m.body for m in recording(f"failing-{kind}").attempts] == ["0", "1", "2"]
    assert [m.body for m in recording(f"failing-{kind}").messages] == ["2"]


def test_a_delay_beyond_the_timeout_is_an_unknown_outcome() -> None:
    channel = RecordChannel("ops", delay=60)

    outcome = channel.send(Message("hello"), timeout=0.01)

    assert (outcome.kind, outcome.reason) == ("unknown", "read_timeout")
    assert channel.recording.messages == []


def test_closing_ends_a_delay_in_progress() -> None:
    channel = RecordChannel("ops", delay=30)
    sender = threading.Thread(target=channel.send, args=(Message("hello"), 60))
    sender.start()

    started = time.monotonic()
    channel.close()
    sender.join(5)

    assert not sender.is_alive() and time.monotonic() - started < 5


def test_each_channel_made_without_a_url_has_a_recording_of_its_own() -> None:
    first, second = RecordChannel("a"), RecordChannel("b")

    assert first.send(Message("hello"), 1) == DELIVERED

    assert second.recording.messages == []


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("record://", "needs a name"),
        ("record://ci?fial=1", "takes delay, fail, outcome"),
        ("record://ci?fail=often", "'fail' of record:// must be a number"),
        ("record://ci?delay=-1", "'delay' of record:// must be a number"),
        ("record://ci?delay=nan", "must be a number"),
        ("record://ci?outcome=delivered", "must be temporary, permanent, channel or unknown"),
        ("record://[", "not a URL"),
        ("console://?colour=1", "it takes none"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ChannelError, match=reason.replace("(", r"\(")):
        build("ops", url)
