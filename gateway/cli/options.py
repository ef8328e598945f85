"""Options that several commands share."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from gateway.config.duration import parse_duration

DEFAULT_CONFIG = Path("config")

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", metavar="PATH", help="Folder of *.toml files, or one file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def duration(text: str) -> timedelta:
    """The duration an option was given; raises typer's own error for wrong usage."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
