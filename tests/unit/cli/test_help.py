"""What --help says, word for word. Set ``GATEWAY_GOLDEN=rewrite`` to write it anew, then read the difference."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.application import app

GOLDEN = Path(__file__).parents[2] / "golden" / "help"
COMMANDS = [
    (),
    ("demo",),
    ("init",),
    ("check",),
    ("run",),
    ("explain",),
    ("render",),
    ("send",),
    ("schema",),
    ("deliveries",),
    ("deliveries", "list"),
    ("deliveries", "show"),
    ("deliveries", "retry"),
    ("deliveries", "cancel"),
    ("deliveries", "drop"),
    ("status",),
    ("refused",),
    ("refused", "list"),
    ("refused", "show"),
]


def help_of(command: tuple[str, ...]) -> str:
    ended = CliRunner().invoke(app, [*command, "--help"], prog_name="gateway", env={"COLUMNS": "80"})
    assert ended.exit_code == 0
    return "".join(f"{line.rstrip()}\n" for line in ended.output.splitlines())


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(("gateway", *command)))
def test_help_is_as_written_down(command: tuple[str, ...]) -> None:
    golden = GOLDEN / f"{'-'.join(('gateway', *command))}.txt"

    if os.environ.get("GATEWAY_GOLDEN") == "rewrite":
        golden.write_text(help_of(command))
    else:
        assert help_of(command) == golden.read_text()


def test_every_command_has_its_help_written_down() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {"-".join(("gateway", *command)) for command in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(("gateway", *command)))
def test_help_fits_a_terminal_and_cuts_no_sentence(command: tuple[str, ...]) -> None:
    lines = help_of(command).splitlines()

    assert max(map(len, lines)) <= 80
    assert not any(line.endswith("...") for line in lines[1:])
