"""The command run: keeps a gateway open on a configuration until it is told to end."""

from __future__ import annotations

import gc
import signal
import threading
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from gateway.app import Gateway
from gateway.cli.configuration import contents, require
from gateway.cli.deliveries import in_balance
from gateway.cli.logs import leave_out_reloads
from gateway.cli.options import DEFAULT_CONFIG, ConfigOption, duration
from gateway.cli.output import clock, fail, number, print_problems, say, warn
from gateway.compile import Destination
from gateway.config import load, read_sources
from gateway.config.duration import format_duration
from gateway.reload import Reloaded
from gateway.server import Door, Server, open_door
from gateway.store.ledger import total

_ENDING = (signal.SIGINT, signal.SIGTERM)


def run(
    config: ConfigOption = DEFAULT_CONFIG,
    grace: Annotated[
        timedelta,
        typer.Option("--grace", metavar="DURATION", parser=duration, help="Longest wait for what is due at the end."),
    ] = "10s",  # type: ignore[assignment] # parsed like what is given
) -> None:
    """Run the service: take transitions by HTTP, and deliver.

    It takes transitions and answers questions where [server] says, delivers what is owed, and puts
    edits of the configuration into force while running. An edit with errors is refused and told;
    the last good configuration stays. SIGTERM or Ctrl-C ends it:
    what is due is sent within the grace time, the rest stays owed and goes out at the next start. A
    second signal ends it at once; nothing is lost by that either.
    """
    require(config)
    ended = threading.Event()
    _end_on_signals(ended)
    leave_out_reloads()
    with ExitStack() as stack:
        door = _door(config, stack)
        gateway = stack.enter_context(Gateway(config, on_reload=_tell))
        server = None if door is None else Server(gateway, door, on_failure=ended.set).start()
        gateway.follow()
        _tell_start(config, gateway, server)
        gc.freeze()  # see _spare_the_collector; there is hardly any garbage yet
        ended.wait()
        failed = server is not None and server.failed
        _end(gateway, server, grace)
    if failed:
        fail("the HTTP server has failed; the log says why")


def _spare_the_collector() -> None:
    """Let it pass over all that is there now and stays.

    Else it looks through all modules and the configuration again and again while transitions come and
    go, for a fifth of the time that each of them takes.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _door(config: Path, stack: ExitStack) -> Door | None:
    """The open door, if HTTP is to be served.

    Of a configuration with errors nothing is said here: the gateway tells them all.
    """
    loaded = load(read_sources(config)[0])
    if loaded.config is None or not loaded.config.server.enabled:
        return None
    return stack.enter_context(closing(open_door(loaded)))


def _end_on_signals(ended: threading.Event) -> None:
    def end(received: int, frame: FrameType | None) -> None:
        ended.set()
        for one in _ENDING:  # whoever asks twice is not kept waiting
            signal.signal(one, signal.SIG_DFL)

    for one in _ENDING:
        signal.signal(one, end)


def _tell_start(config: Path, gateway: Gateway, server: Server | None) -> None:
    ruleset = gateway.ruleset
    print_problems(ruleset.problems)
    say(f"{ruleset.config.gateway.name}: {contents(ruleset)} from {config}", "bold")
    for handler in ruleset.handlers:
        mode = " (shadow: recorded, not sent)" if handler.written.mode == "shadow" else ""
        say(f"  {handler.name} → {', '.join(handler.channels)}{mode}")
    say("Channels: " + ", ".join(f"{name} ({_scheme(built)})" for name, built in ruleset.destinations.items()))
    say(f"Store: {in_balance(total(gateway.store.ledger()))}")
    if server is not None:
        say(f"Listening on {server.url}")
    if ruleset.prefect is not None:
        say(f"Following Prefect at {ruleset.prefect.shown}")
    say("Edits take effect when saved. Ctrl-C ends.")


def _scheme(destination: Destination) -> str:
    return destination.address.partition("://")[0]


def _tell(reloaded: Reloaded) -> None:
    now = clock(datetime.now(UTC))
    if not reloaded.accepted:
        warn(f"{now} edit refused, the last good configuration stays:", "bold red")
    print_problems(reloaded.problems)
    if reloaded.accepted:
        changes = "; ".join(reloaded.changes) or "nothing changed"
        say(f"{now} reloaded in {reloaded.seconds * 1000:.0f} ms: {changes}", "green")
        _spare_the_collector()


def _end(gateway: Gateway, server: Server | None, grace: timedelta) -> None:
    say(f"Ending: sending what is due, for {format_duration(grace)} at most.")
    deadline = time.monotonic() + grace.total_seconds()
    if server is not None:
        server.stop(grace.total_seconds())
    gateway.drain_seconds = max(0.0, deadline - time.monotonic())
    say(f"Ended. {_left(gateway.close())}")


def _left(owed: int | None) -> str:
    if owed is None:
        return "The store does not say what is owed; it goes out at the next start."
    if not owed:
        return "Nothing is owed."
    return f"{number(owed, 'delivery')} {'stays' if owed == 1 else 'stay'} owed until the next start."
