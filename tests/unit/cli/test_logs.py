from __future__ import annotations

from gateway.cli import logs
from gateway.reload import Reloaded

REFUSED = Reloaded(False, (), (), 0.0)


def test_a_record_is_one_line_with_its_fields(logger, capsys) -> None:
    logs.configure("warning")

    logger.warning("100 %% of %d failed", 3, extra={"channel": "mail", "reason": "50 %"})

    told = capsys.readouterr().err
    assert told.endswith(" WARNING gateway: 100 % of 3 failed channel='mail' reason='50 %'\n")


def test_what_is_below_the_level_is_not_told(logger, capsys) -> None:
    logs.configure("error")

    logger.warning("not so bad")

    assert capsys.readouterr().err == ""


def test_reloads_can_be_left_out(logger, capsys) -> None:
    logs.configure("info")
    logs.leave_out_reloads()

    logger.error("%s", REFUSED)
    logger.error("something else")

    assert capsys.readouterr().err.count("\n") == 1
