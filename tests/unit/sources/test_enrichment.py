"""What is fetched of a transition: no more than its handlers read, and filled in where nothing was told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.compile import Ruleset, compile_ruleset
from gateway.config.loader import load
from gateway.config.sources import Sources
from gateway.sources.enrichment import enriched
from gateway.states import Failed, Running, State
from gateway.transition import MAX_ITEMS, Kind, Obj, Transition

BOX = '[channel.box]\nurl = "record://box"\n'
MOMENT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def ruleset(*handlers: str, **templates: str) -> Ruleset:
    tables = (f'[[handler]]\nname = "h{number}"\nto = "box"\n{text}\n' for number, text in enumerate(handlers))
    named = {f"{name}.md.j2": source for name, source in templates.items()}
    compiled = compile_ruleset(load(Sources("config", {"config/a.toml": BOX + "".join(tables)}, named)))
    assert compiled.ruleset is not None, compiled.problems
    return compiled.ruleset


def transition(kind: Kind = "task", state: State | None = None, flow: str = "etl", **more: Any) -> Transition:
    run = Obj("flow", flow, run_id="run-1", **(more if kind == "flow" else {}))
    obj = run if kind == "flow" else Obj("task", "load", run_id="run-2", flow=run, **more)
    return Transition.of(obj, Running(), state or Failed("the table is gone"))


def reads(handler: str, one: Transition, **templates: str) -> set[str]:
    return set(ruleset(handler, **templates).reads(one))


def test_nobody_reads_anything_by_default() -> None:
    assert not ruleset("", 'when = "state is failed"').readers
    assert ruleset("").reads(transition()) == frozenset()


@pytest.mark.parametrize(
    ("handler", "of_task", "of_flow"),
    [
        ('message = "{{ flow.parameters.day }}"', {"flow.parameters"}, {"flow.parameters"}),
        ('message = "{{ obj.parameters.day }}"', {"task.parameters"}, {"flow.parameters"}),
        ('on = "task"\nmessage = "{{ task.log | last }}"', {"task.log"}, set()),
        ('on = "task"\nmessage = "{{ task.flow.log | last }}"', {"flow.log"}, set()),
        ('title = "{{ event.occurred_at - flow.started_at }}"', {"flow.started_at"}, {"flow.started_at"}),
        ("when = \"flow.parameters.day == 'today'\"", {"flow.parameters"}, {"flow.parameters"}),
        ('when = "obj.max_retries > 1 and state is failed"', {"task.max_retries"}, {"flow.max_retries"}),
        ('message = "{% for line in obj.log %}{{ line }}{% endfor %}"', {"task.log"}, {"flow.log"}),
        ('message = "{% if state is failed %}{{ obj.log | length }}{% endif %}"', {"task.log"}, {"flow.log"}),
        ('template = "t.md.j2"', {"task.log", "flow.parameters"}, {"flow.log", "flow.parameters"}),
        ('message = "{{ state.result.log }} {{ state.message }} log parameters"', set(), set()),
        ('message = "{{ flow.parameters.log }}"', {"flow.parameters"}, {"flow.parameters"}),
    ],
)
def test_what_is_read_is_known_from_checks_and_templates(handler: str, of_task: set[str], of_flow: set[str]) -> None:
    template = "{% block message %}{{ obj.log | join }} {{ flow.parameters.day }}{% endblock %}"

    assert reads(handler, transition(), t=template) == of_task
    assert reads(handler, transition("flow"), t=template) == of_flow


@pytest.mark.parametrize(
    ("handler", "counts"),
    [
        ('when = "state is failed"', True),
        ('when = "state is crashed"', False),
        ('flow = "etl"', True),
        ('flow = "sales"', False),
        ('state = "Running"', False),
        ('on = "flow"', False),
        ('task = "lo*"', True),
        ("when = \"state.message is search('gone')\"", True),
        ("when = \"state.message is search('full')\"", False),
        ("when = \"flow.parameters.day == 'today' and state is running\"", False),
        ("when = \"flow.parameters.day == 'today' or state is running\"", True),
        ("when = \"(flow.parameters.day == 'today' and state is running) or state is crashed\"", False),
        ('mode = "off"', False),
        ('mode = "shadow"', True),
    ],
)
def test_a_handler_counts_only_if_it_may_match(handler: str, counts: bool) -> None:
    found = reads(f'{handler}\nmessage = "{{{{ flow.parameters.day }}}}"', transition())

    assert bool(found) is counts


def test_what_was_told_is_not_fetched_again() -> None:
    handler = 'message = "{{ flow.parameters.day }} {{ flow.started_at }} {{ flow.log | last }} {{ flow.max_retries }}"'
    told: dict[str, Any] = {"parameters": {"day": "1"}, "started_at": MOMENT, "log": ("a",), "max_retries": 1}

    assert reads(handler, transition("flow", **told)) == set()
    assert reads(handler, transition("flow")) == {"flow.parameters", "flow.started_at", "flow.log", "flow.max_retries"}


def test_of_a_run_without_an_id_nothing_can_be_fetched() -> None:
    one = Transition.of(Obj("task", "load", run_id="run-2"), None, Failed())

    assert reads('message = "{{ flow.parameters.day }} {{ obj.log | last }}"', one) == {"task.log"}


def test_details_are_filled_in_where_nothing_was_told() -> None:
    one = transition(started_at=MOMENT)
    one.text = "{}"
    details = {
        "flow.parameters": {"day": "2026-03-01"},
        "flow.started_at": MOMENT,
        "flow.log": [f"line {number}" for number in range(MAX_ITEMS + 5)],
        "flow.max_retries": 2,
        "task.started_at": datetime(2020, 1, 1, tzinfo=UTC),
        "task.log": ["last words"],
    }

    whole = enriched(one, details)

    assert whole.flow.parameters == {"day": "2026-03-01"}
    assert whole.flow.max_retries == 2
    assert whole.flow.log[-1] == f"line {MAX_ITEMS + 4}"
    assert len(whole.flow.log) == MAX_ITEMS
    assert (whole.obj.started_at, whole.obj.log) == (MOMENT, ("last words",))
    assert whole.obj.flow is whole.flow
    assert (whole.id, whole.source, whole.occurred_at, whole.text) == (one.id, one.source, one.occurred_at, "")
    assert one.flow.parameters == {}


def test_a_flow_is_enriched_itself() -> None:
    whole = enriched(transition("flow"), {"flow.log": ["a"]})

    assert whole.obj.log == whole.flow.log == ("a",)


@pytest.mark.parametrize("value", [None, 3, "text", True, datetime(2026, 1, 1, tzinfo=UTC).date(), [None], {1: 2}])
def test_a_detail_of_the_wrong_type_is_as_good_as_none(value: Any) -> None:
    names = ("flow.parameters", "flow.started_at", "flow.log", "flow.max_retries")

    whole = enriched(transition("flow"), dict.fromkeys(names, value))

    assert isinstance(whole.flow.parameters, dict)
    assert isinstance(whole.flow.max_retries, int)
    assert whole.flow.started_at is None


def test_the_flow_of_a_lone_task_stays_none() -> None:
    one = Transition.of(Obj("task", "load", run_id="run-2"), None, Failed())

    assert enriched(one, {"flow.parameters": {"a": 1}}).obj.flow is None
