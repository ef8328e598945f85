"""The log of the command line: one line for each record on standard error, fields included."""

from __future__ import annotations

import logging
import sys
from typing import Literal

from gateway.reload import Reloaded

Level = Literal["debug", "info", "warning", "error"]

_KNOWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class FieldFormatter(logging.Formatter):
    """Writes ``time LEVEL logger: message key=value …``."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, followed by its traceback if it has one."""
        fields = {key: value for key, value in vars(record).items() if key not in _KNOWN}
        record = logging.makeLogRecord(vars(record))
        told = "".join(f" {key}={value!r}" for key, value in fields.items())
        record.msg, record.args = record.getMessage() + told, ()
        return super().format(record)


def leave_out_reloads() -> None:
    """For commands that tell of reloads themselves, with the line that is wrong."""
    logging.getLogger("gateway").addFilter(_is_not_reload)


def _is_not_reload(record: logging.LogRecord) -> bool:
    return not (isinstance(record.args, tuple) and any(isinstance(one, Reloaded) for one in record.args))


def configure(level: Level) -> logging.Handler:
    """Write what the gateway logs from ``level`` up; returns the handler that does."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FieldFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("gateway")
    logger.setLevel(level.upper())
    logger.addHandler(handler)
    return handler
