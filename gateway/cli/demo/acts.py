"""The acts of the demo, in order."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from rich.rule import Rule
from rich.text import Text

from gateway.cli.deliveries import in_balance, print_deliveries
from gateway.cli.demo.arrivals import print_exchange, print_gist, print_mail, print_request
from gateway.cli.demo.orders import nightly_orders
from gateway.cli.demo.stage import PATIENCE, SLACK_HOST, Stage, stage
from gateway.cli.event import what_happened
from gateway.cli.explanation import print_explanations
from gateway.cli.logs import leave_out_reloads
from gateway.cli.output import fail, out, print_problems, say
from gateway.delivery.payload import decode
from gateway.explain import explain
from gateway.store.ledger import total
from gateway.store.rows import DeliveryFilter
from gateway.transition import Transition

RETRYING, FAILED = "task-retrying", "task-failed"
NEW_TITLE = "{{ task.name }} failed, next try at {{ state.start_time }}"
BAD_CHECK = "state is faild and state is final"

PATH = "/api/v1/transitions"
EVENT = {
    "id": "export-1",
    "obj": {"kind": "task", "name": "export", "flow": {"name": "monthly-report"}},
    "new_state": {"type": "Retrying", "run_count": 1, "start_time": "2030-01-01T06:00:00Z"},
}

REQUESTS, MAILS = 3, 1
"""What one run of the flow sends: a retry, a failure and the data it carries to Slack, the failure by mail."""


def play(keep: bool) -> None:
    """Play the demo to its end, or end the command where something expected does not happen."""
    leave_out_reloads()
    began = time.monotonic()
    with _folder(keep) as folder, stage(folder) as on_stage:
        _introduce(on_stage, folder)
        _first_run(on_stage)
        _edit(on_stage)
        _bad_edit(on_stage)
        _event(on_stage)
        _books(on_stage)
    say(f"\nEverything arrived, after {time.monotonic() - began:.0f} seconds.", "bold green")
    if keep:
        say(f"Kept in {folder}; look further with: gateway deliveries --config {folder / 'config'}")
    say("Next: `gateway init` writes this configuration here, `gateway check` proves it, and")
    say("state_handlers=[Gateway('config/')] attaches it to your own tasks and flows; `gateway run` serves all others.")


@contextmanager
def _folder(keep: bool) -> Iterator[Path]:
    if not keep:
        with tempfile.TemporaryDirectory(prefix="gateway-demo-") as name:
            yield Path(name)
        return
    yield Path(tempfile.mkdtemp(prefix="gateway-demo-"))


def _introduce(on_stage: Stage, folder: Path) -> None:
    say("The starting configuration, with two of its channels given addresses on this machine:")
    say(f"  oncall  a server that speaks Slack's webhook protocol, at {on_stage.slack.address}")
    say(f"  mail    a mail server, at {on_stage.mail.address}")
    say("  screen  this terminal")
    say(f"  in {folder}", "dim")


def _act(title: str) -> None:
    out.print()
    out.print(Rule(Text(title, "bold"), align="left"), soft_wrap=False)


# the first act: a flow runs, and messages arrive


def _first_run(on_stage: Stage) -> None:
    _act("1. A flow runs with state_handlers=[gateway]")
    nightly_orders(on_stage.gateway, _narrate).run()
    on_stage.gateway.drain()

    _act(f"2. What arrived where {SLACK_HOST} would have been")
    first, *others = on_stage.requests(REQUESTS)
    print_request(first)
    say("\nand two more:")
    for request in others:
        print_gist(request)
    _act("3. And at the mail server")
    for mail in on_stage.mails(MAILS):
        print_mail(mail)


def _narrate(obj: Any, old_state: Any, new_state: Any) -> None:
    """A state handler of the plain kind: it prints what happens."""
    if not new_state.is_running():
        say(f"  {obj.name:<14} {old_state.type:>8} → {new_state.type:<8}  {new_state.message}", "dim")


# the second act: a good edit, and a bad one


def _edit(on_stage: Stage) -> None:
    _act(f"4. The title of {RETRYING!r} is edited while the gateway runs")
    say(f"  title = {NEW_TITLE!r}")
    on_stage.declaration.set_handler(RETRYING, "title", f"'{NEW_TITLE}'")
    reloaded = on_stage.next_reload()
    if not reloaded.accepted:
        fail(str(reloaded))
    say(f"  {reloaded}, in {reloaded.seconds * 1000:.0f} ms\n", "green")

    say("The flow runs again.")
    nightly_orders(on_stage.gateway).run()
    on_stage.gateway.drain()
    say("And Slack gets:")
    told = [request for request in on_stage.requests(2 * REQUESTS) if b"next try at" in request.body]
    if not told:
        fail("the changed message did not arrive")
    print_request(told[0])
    on_stage.mails(2 * MAILS)


def _bad_edit(on_stage: Stage) -> None:
    _act(f"5. A bad edit: the check of {FAILED!r}")
    before = on_stage.gateway.ruleset
    on_stage.declaration.set_handler(FAILED, "when", f'"{BAD_CHECK}"')
    reloaded = on_stage.next_reload()
    if reloaded.accepted or on_stage.gateway.ruleset is not before:
        fail("the bad edit was not refused")
    print_problems(reloaded.problems, to=out)
    say("Refused: the last good configuration stays in force.")


# the third act: an event of some other program


def _event(on_stage: Stage) -> None:
    _act("6. An event by HTTP, as `gateway run` takes it")
    say(f"Any program may tell the gateway, here at {on_stage.server.url}; an id makes a repeat harmless:")
    before = len(on_stage.slack.received)
    answers = [_post(on_stage.server.url, EVENT) for _ in range(2)]
    print_exchange(PATH, EVENT, answers)
    on_stage.gateway.drain()
    say("It was on the disk before it was answered. Sent twice, Slack gets it once:")
    print_gist(on_stage.requests(before + 1)[-1])


def _post(url: str, event: object) -> tuple[str, str]:
    """Status and body of what an event is answered. Goes past every proxy."""
    connection = HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)
    try:
        connection.request("POST", PATH, json.dumps(event), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return f"{answer.status} {answer.reason}", answer.read().decode()
    finally:
        connection.close()


# the end: the books


def _books(on_stage: Stage) -> None:
    gateway = on_stage.gateway
    if owed := gateway.drain():
        fail(f"{owed} deliveries are still owed")
    _act("7. What was delivered, and why the rest was not")
    print_deliveries(gateway.store.deliveries()[::-1])
    say(in_balance(total(gateway.store.ledger())))

    failure = _cause_of(on_stage, FAILED)
    _act("8. Why nobody else was told, as `gateway explain` has it")
    say(what_happened(failure))
    print_explanations(explain(gateway.ruleset, failure))


def _cause_of(on_stage: Stage, handler: str) -> Transition:
    """The transition that a handler told of last."""
    store = on_stage.gateway.store
    history = store.history(store.deliveries(DeliveryFilter(handler=handler))[0].id)
    assert history is not None, "a delivery just listed has a history"
    return decode(history.transition.payload)
