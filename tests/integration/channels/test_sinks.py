"""The servers that stand in for services."""

from __future__ import annotations

import pytest

from gateway.testing import HttpSink, SmtpSink


def test_waiting_for_what_does_not_come_ends_with_the_count() -> None:
    with HttpSink() as web, SmtpSink() as mail:
        with pytest.raises(TimeoutError, match=r"0 of 2 requests arrived in 0\.05 s"):
            web.wait_for(2, timeout=0.05)
        with pytest.raises(TimeoutError, match=r"0 of 1 mails arrived in 0\.05 s"):
            mail.wait_for(1, timeout=0.05)
