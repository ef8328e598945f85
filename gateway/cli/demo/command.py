"""The command demo, as the command line knows it."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder with the configuration and the store.")] = False,
) -> None:
    """Show all of it on this machine, in a few seconds.

    A flow runs, and messages arrive at a mail server and at a server that speaks Slack's webhook
    protocol. Both are started here, on 127.0.0.1; nothing leaves this machine and no account is
    needed. Then the configuration is edited while the gateway runs. Exit code 1 if anything that
    should arrive does not.
    """
    from gateway.cli.demo.acts import play  # late: its servers would cost every other command 50 ms and 4 MB

    play(keep)
