"""The console channel."""

from __future__ import annotations

import io
import threading

import pytest

from gateway.channels import DELIVERED, ConsoleChannel, Message, build


def printed(message: Message) -> str:
    stream = io.StringIO()
    assert ConsoleChannel("ops", stream).send(message, 1) == DELIVERED
    return stream.getvalue()


def test_a_message_is_one_block_with_its_channel_severity_and_title() -> None:
    text = printed(Message("first\n\nsecond", title="load failed", severity="failure"))

    rule, title, *body = text.splitlines()
    assert rule.startswith("── ops · failure ──") and len(rule) == 72
    assert title == "load failed"
    assert body == ["  first", "", "  second", ""]


def test_a_message_without_a_title_has_no_line_for_it() -> None:
    assert printed(Message("hello")).splitlines()[1:] == ["  hello", ""]


def test_control_characters_of_an_event_never_reach_the_terminal() -> None:
    assert "\x1b" not in printed(Message("\x1b[2Jgone", title="\x1b]0;owned\x07"))


def test_it_prints_to_whatever_standard_output_is_at_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    build("screen", "console://").send(Message("hello"), 1)

    assert "hello" in capsys.readouterr().out


def test_a_closed_stream_is_a_temporary_failure() -> None:
    stream = io.StringIO()
    stream.close()

    outcome = ConsoleChannel("ops", stream).send(Message("hello"), 1)

    assert (outcome.kind, outcome.reason) == ("temporary", "write_failed")


def test_blocks_of_several_threads_do_not_mix() -> None:
    stream = io.StringIO()
    channel = ConsoleChannel("ops", stream)
    threads = [threading.Thread(target=channel.send, args=(Message(f"a{n}\nb{n}"), 1)) for n in range(20)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(f"  a{n}\n  b{n}\n\n" in stream.getvalue() for n in range(20))
