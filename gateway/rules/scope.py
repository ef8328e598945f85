"""What a rendering in progress holds: its variables, its format, and the work it may still do.

Work is counted in steps, never measured in time: the same template and data always end the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from gateway.format import Format
from gateway.rules.escape import ESCAPES, Verbatim
from gateway.rules.values import Missing, UnfitValue, as_text, refuse_longer

MAX_STEPS = 20_000
MAX_OUTPUT = 65_536
"""Characters of one message, so that no service and no reader chokes on it."""

MAX_VALUE = 20_000
"""Characters of one value: a log of megabytes in a state's message must not cost the message."""


class Scope:
    """One rendering.

    Attributes:
        format: what the text is written in.
        occurred_at: the reference of relative times.
        variables: the roots, and what the template sets.
    """

    __slots__ = ("_escape", "_length", "_read", "_steps", "format", "occurred_at", "parts", "variables")

    def __init__(self, variables: dict[str, Any], format: Format, occurred_at: datetime) -> None:
        self.variables, self.format, self.occurred_at = variables, format, occurred_at
        self.parts: list[str] = []
        self._steps, self._length = MAX_STEPS, 0
        self._read: dict[tuple[int, str], Any] = {}
        self._escape = ESCAPES[format]

    def variable(self, name: str) -> Any:
        """The value of a root, a loop's variable or what ``{% set %}`` gave the name."""
        if name in self.variables:
            return self.variables[name]
        return Missing(f"{name} is not set here")

    def spend(self, steps: int) -> None:
        """Use up some of the work allowed.

        Raises:
            UnfitValue: there is none left.
        """
        self._steps -= steps
        if self._steps < 0:
            raise UnfitValue("the template does too much work; loop over less")

    def weigh(self, value: object) -> None:
        """Charge for going through a value."""
        self.spend(1 + len(value) // 16 if isinstance(value, str | list | tuple | dict) else 1)

    def made(self, value: Any) -> Any:
        """``value``, newly made: its size is charged, or refused."""
        if isinstance(value, str | list | tuple | dict):
            refuse_longer(len(value))
            self.spend(1 + len(value) // 64)
        return value

    def once(self, owner: Any, name: str, read: Callable[[Any], Any]) -> Any:
        """``read(owner)``, done once: making plain data of a result can cost more than all the rest."""
        key = (id(owner), name)
        if key not in self._read:
            self._read[key] = read(owner)
        return self._read[key]

    def write(self, text: str) -> None:
        """Add to the output.

        Raises:
            UnfitValue: it has become too long.
        """
        self._length += len(text)
        if self._length > MAX_OUTPUT:
            raise UnfitValue(f"the text grew over {MAX_OUTPUT:,} characters")
        self.parts.append(text)

    def write_value(self, value: object) -> None:
        """Add a value to the output, written for the format; one that is very long is cut."""
        if isinstance(value, Verbatim):
            self.write(value)
            return
        self.write(self._escape(cut(as_text(value))))


def cut(text: Any) -> Any:
    """``text``, shortened to what a message can show."""
    return text[:MAX_VALUE] + "…" if isinstance(text, str) and len(text) > MAX_VALUE else text
