"""The command line: thin commands that say what the parts know and decide nothing themselves."""

from gateway.cli.application import main

__all__ = ["main"]
