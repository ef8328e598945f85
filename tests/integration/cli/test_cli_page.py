"""docs/cli.md shows what the commands really print."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from gateway.cli.application import app

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
ANYTHING = "…"
"""Stands for the rest of a line, or alone on a line for any number of lines."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def sessions() -> Iterator[tuple[str, str]]:
    """Each command that is shown with its output."""
    for block in blocks("console"):
        for shown in re.split(r"^\$ gateway ", block, flags=re.MULTILINE)[1:]:
            command, _, output = shown.partition("\n")
            yield command, output


def pattern(shown: str) -> str:
    lines = (".*" if line == ANYTHING else re.escape(line).replace(ANYTHING, "[^\n]*") for line in shown.split("\n"))
    return "\n".join(lines)


def test_the_commands_print_what_the_page_shows(gateway, tmp_path: Path) -> None:
    [event] = blocks("json")
    (tmp_path / "event.json").write_text(event)

    for command, shown in sessions():
        ended = gateway(*shlex.split(command))
        assert ended.returncode == 0, ended.stderr
        assert re.fullmatch(pattern(shown), ended.stdout, re.DOTALL), f"{command} printed\n{ended.stdout}"


@pytest.mark.parametrize("command", get_command(app).commands)
def test_the_page_names_every_command(command: str) -> None:
    assert f"| `gateway {command}" in PAGE
