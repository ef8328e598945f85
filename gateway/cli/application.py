"""The command ``gateway``: its commands in order, its global options, and how errors are told."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from gateway import __version__
from gateway.cli import configuration, deliveries, explanation, logs, migration, refused, running, sending, status
from gateway.cli.demo import demo
from gateway.cli.output import FINDINGS, print_problems, warn
from gateway.errors import ConfigError, GatewayError

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gateway {__version__}")
        raise typer.Exit


def _configure(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
    log_level: Annotated[logs.Level, typer.Option("--log-level", help="What to log to standard error.")] = "warning",
) -> None:
    """Tell people what happens in their workflows: a notification gateway, declared in TOML.

    Begin with `gateway demo`, then `gateway init`. Exit codes: 0 all is well, 1 something was found
    or not delivered, 2 wrong usage.
    """
    logs.configure(log_level)


app = typer.Typer(
    add_completion=False,
    context_settings=_SETTINGS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.callback()(_configure)

app.command(epilog=_examples("gateway demo", "gateway demo --keep"))(demo)
app.command(epilog=_examples("gateway init", "gateway init alerts/"))(configuration.init)
app.command(epilog=_examples("gateway check", "gateway check --config alerts/config --offline --strict"))(
    configuration.check
)
app.command(epilog=_examples("gateway run", "gateway --log-level info run --config /etc/gateway --grace 30s"))(
    running.run
)
app.command(epilog=_examples("gateway status", "gateway status --json --since 7d"))(status.status)
app.command(
    epilog=_examples(
        "gateway explain event.json",
        "gateway explain - < event.json",
        "gateway explain '#12'",
    )
)(explanation.explain)
app.command(
    epilog=_examples("gateway render task-failed event.json", "gateway render task-failed '#12' --format html")
)(explanation.render)
app.command(epilog=_examples("gateway send oncall", "gateway send everyone 'Works.' --title 'A test'"))(sending.send)
app.command(epilog=_examples("gateway schema > config/gateway.schema.json"))(configuration.schema)
app.command(epilog=_examples("gateway migrate", "gateway migrate --config /etc/gateway --json"))(migration.migrate)

_deliveries = typer.Typer(
    cls=deliveries.Deliveries,
    context_settings=_SETTINGS,
    rich_markup_mode=None,
    help="List, show, retry, cancel and drop deliveries.\n\nWithout a command it lists, and takes the options of list.",
    epilog=_examples("gateway deliveries --status dead --since 2d", "gateway deliveries show 12"),
)
_deliveries.command("list", epilog=_examples("gateway deliveries list --channel mail --limit 5"))(
    deliveries.list_deliveries
)
_deliveries.command("show", epilog=_examples("gateway deliveries show 12"))(deliveries.show)
_deliveries.command(
    "retry",
    epilog=_examples("gateway deliveries retry 12 15", "gateway deliveries retry --all --channel mail --since 6h"),
)(deliveries.retry)
_deliveries.command(
    "cancel", epilog=_examples("gateway deliveries cancel 12", "gateway deliveries cancel --all --channel mail")
)(deliveries.cancel)
_deliveries.command(
    "drop", epilog=_examples("gateway deliveries drop 12", "gateway deliveries drop --all --handler old --yes")
)(deliveries.drop)
app.add_typer(_deliveries, name="deliveries")

_refused = typer.Typer(
    cls=deliveries.Deliveries,
    context_settings=_SETTINGS,
    rich_markup_mode=None,
    help="List and show events that were not understood.\n\nWithout a command it lists, and takes the options of list.",
    epilog=_examples("gateway refused", "gateway refused show 12"),
)
_refused.command("list", epilog=_examples("gateway refused list --limit 5"))(refused.list_refused)
_refused.command("show", epilog=_examples("gateway refused show 12"))(refused.show_refused)
app.add_typer(_refused, name="refused")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, with the arguments of the process unless others are given. Ends in ``SystemExit``."""
    _accept_any_text()
    try:
        app(arguments, prog_name="gateway")
    except ConfigError as error:
        print_problems(error.problems)
    except GatewayError as error:
        warn(f"error: {error}", "red")
    except OSError as error:
        warn(f"error: {error.filename or 'the system'}: {error.strerror or error}", "red")
    sys.exit(FINDINGS)


def _accept_any_text() -> None:
    """Print what the terminal's encoding does not have as a question mark instead of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
