"""Format and severity: what a message is written in, and how serious it is."""

from __future__ import annotations

from typing import Literal

Format = Literal["text", "markdown", "html"]
Severity = Literal["info", "success", "warning", "failure"]
