"""The command line: thin commands that say what the parts know and decide nothing themselves."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, with the arguments of the process unless others are given. Ends in ``SystemExit``."""
    try:
        from gateway.cli import application
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] == "gateway":
            raise
        sys.exit(
            f"error: {error.name} is not installed. What was installed with --no-deps is enough for hooks and clients "
            "in an engine's processes; the command needs an environment of its own, with all the package depends on."
        )
    application.main(arguments)
