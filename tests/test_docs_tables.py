"""What the documentation says in tables, it says as the code does.

The tables between ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->`` are made here. Set
``GATEWAY_GOLDEN=rewrite`` to write them anew, then read the difference.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from pydantic import BaseModel

from gateway.channels.reasons import REASONS
from gateway.config.size import Size
from gateway.observe import Metrics
from gateway.observe.specs import METRICS, Spec
from gateway.rules import (
    evaluator,
    expression,
    lowering,
    predicates,
    regex,
    scope,
    statements,
    template,
    template_parts,
    values,
)
from gateway.rules.escape import INVISIBLE
from gateway.rules.expression import compile_check
from gateway.rules.filters import FILTERS, Filter
from gateway.rules.mapping import CLOUD_EVENT_MODEL
from gateway.rules.message_filters import MESSAGE_FILTERS
from gateway.rules.predicates import TESTS
from gateway.rules.schema import DICT_METHODS, EVENT_MODEL, OBJ_MODEL, STATE_MODEL, STR_METHODS, Model, Ty, roots
from gateway.rules.template import compile_template
from gateway.server.access import Access
from gateway.server.api import api, metrics_route, standard_routes
from gateway.server.events import Events
from gateway.server.health import Health
from gateway.server.intake import Intake
from gateway.server.limits import LIMITS, Limits
from gateway.server.measures import Measures
from gateway.server.models import DeliveryDetail, TransitionDetail
from gateway.server.orders import Orders
from gateway.server.questions import Questions
from gateway.server.reads import Reads
from gateway.sources import airflow, dagster
from gateway.states import SEVERITIES, STATES, Failed
from gateway.transition import MAX_DEPTH, MAX_ITEMS, MAX_TEXT, Obj, Transition
from tests.engine_states import STATE_TABLES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
EXPRESSIONS = DOCS / "expressions.md"
WORDS = {
    "str": "text",
    "int": "whole number",
    "datetime": "time",
    "list": "list",
    "dict": "mapping",
    "any": "untyped",
}
HTTP_STATUS = re.compile(r"http_\d+")


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = [*columns]
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: str) -> str:
    return f"`{text}`"


def sentence(text: str) -> str:
    """A docstring or meaning on one line."""
    return " ".join(text.replace("``", "`").split()).rstrip(".")


def names() -> str:
    return table(["Name", "Is"], ((code(name), root.doc) for name, root in roots().items()))


def fields(model: Model) -> str:
    rows = ((code(name), in_words(field.ty), field.doc) for name, field in model.fields.items())
    return table(["Field", "Type", "Meaning"], rows)


def in_words(ty: Ty) -> str:
    word = "task or flow" if ty.model is OBJ_MODEL else WORDS[ty.name]
    return f"{word} or none" if ty.optional else word


def methods() -> str:
    rows = [
        ("text", ", ".join(f"`{name}({'text' * method.min_args})`" for name, method in STR_METHODS.items())),
        ("a mapping", ", ".join(f"`{name}(key, default)`" for name in DICT_METHODS)),
        ("a state", "every test of states below: `state.is_failed()` is `state is failed`"),
    ]
    return table(["Of", "Methods"], rows)


def asked_of(scopes: set[str]) -> str:
    chosen = [test for test in TESTS.values() if test.scope in scopes]
    return table(["Test", "Holds if"], ((code(_written_test(test)), sentence(test.doc)) for test in chosen))


def _written_test(test: predicates.Test) -> str:
    if test.scope == "text" and test.min_args:
        return f'{test.name}("…")'
    return f"{test.name}(other)" if test.min_args else test.name


def filters_of(entries: Mapping[str, Filter], given: int) -> str:
    """One row for each function, with all its names."""
    together: dict[Callable[..., object], list[str]] = {}
    for name, entry in entries.items():
        together.setdefault(entry.function, []).append(name)
    rows = []
    for function, known_as in together.items():
        arguments = _arguments(function, given)
        first, *others = known_as
        written = [f"{first}({arguments})" if arguments else first, *others]
        rows.append((", ".join(map(code, written)), sentence(entries[first].doc)))
    return table(["Filter", "Gives"], rows)


def _arguments(function: Callable[..., object], given: int) -> str:
    return ", ".join(_argument(one) for one in [*inspect.signature(function).parameters.values()][given:])


def _argument(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.VAR_POSITIONAL:
        return "…"
    if parameter.default is parameter.empty:
        return parameter.name
    return f"{parameter.name}={'none' if parameter.default is None else json.dumps(parameter.default)}"


def states() -> str:
    def kinds(name: str) -> str:
        below = [
            code(other) for other, cls in STATES.items() if cls is not STATES[name] and issubclass(cls, STATES[name])
        ]
        return ", ".join(below)

    return table(
        ["State", "Stands also for", "Severity"],
        ((code(name), kinds(name), SEVERITIES[name]) for name in STATES if name != "State"),
    )


def limits() -> str:
    rows: list[tuple[str, int, str]] = [
        ("an expression", expression.LONGEST, "characters"),
        ("", lowering.MOST_NODES, "parts (names, operators, values …)"),
        ("", lowering.DEEPEST, "levels of nesting"),
        ("a text looked at by a regular expression without RE2", regex.MOST_CHARACTERS, "characters"),
        ("the source of a title, message or template file", template_parts.MAX_SOURCE, "characters"),
        ("a template", evaluator.MAX_NODES, "parts"),
        ("", statements.MAX_LOOPS, "loops inside each other"),
        ("", statements.MAX_BLOCKS, "blocks inside each other"),
        ("one rendering", scope.MAX_STEPS, "steps of work"),
        ("", scope.MAX_OUTPUT, "characters of text"),
        ("one value in a message", scope.MAX_VALUE, "characters, then it is cut"),
        ("a text or list that a filter makes", values.MAX_LENGTH, "characters or items"),
        ("a title", template.MAX_TITLE, "characters, then it is cut"),
        ("`state.result` and `parameters`", MAX_DEPTH, "levels of nesting, then only types are told"),
        ("", MAX_ITEMS, "items of a list or mapping, the rest is left out"),
        ("", MAX_TEXT, "characters of a text, then it is cut"),
    ]
    return table(["Of", "At most", ""], ((what, f"{most:,}", unit) for what, most, unit in rows))


def reasons() -> str:
    told = [(code(name), meaning) for name, meaning in REASONS.items() if not HTTP_STATUS.fullmatch(name)]
    status = ("`http_404` and so on", "the service answered with that HTTP status, 300 or above")
    return table(["Reason", "Meaning"], [told[0], status, *told[1:]])


def metrics() -> str:
    def cell(spec: Spec) -> str:
        return ", ".join(map(code, spec.labels)) + (" · of the store" if spec.of_store else "")

    rows = ((code(spec.name), spec.kind, cell(spec).removeprefix(" · "), spec.meaning) for spec in METRICS)
    return table(["Metric", "Type", "Labels", "Meaning"], rows)


def routes() -> str:
    parts = [kind.__new__(kind) for kind in (Intake, Reads, Orders, Health)]
    metrics = metrics_route(Metrics.__new__(Metrics), Questions.__new__(Questions))
    standards = standard_routes(*(Events.__new__(Events) for _ in range(2)))
    told = api(Access(), *parts, *standards, metrics)
    return table(["Request", "Answers"], [(code(f"{one.method} {one.path}"), one.summary) for one in told])


def http_metrics() -> str:
    def name(metric: Metric) -> str:
        return code(metric.name + ("_total" if metric.type == "counter" else ""))

    told = [(name(one), one.type, one.documentation.rstrip(".")) for one in Measures().collect()]
    return table(["Metric", "Type", "Meaning"], told)


def keys_of(model: type[BaseModel]) -> str:
    told = [(code(name), field.description or "") for name, field in model.model_fields.items()]
    assert all(meaning for _, meaning in told), told
    return table(["Key", "Meaning"], told)


def http_limits() -> str:
    values = {line.name: getattr(LIMITS, line.name) for line in dataclasses.fields(LIMITS)}
    meanings = dict(re.findall(r"^        (\w+): (.+?)(?=\n        \w+:|\n    \Z)", Limits.__doc__ or "", re.M | re.S))
    return table(["Limit", "Value"], [(limited(meanings[name]), amount(name, one)) for name, one in values.items()])


def limited(meaning: str) -> str:
    return " ".join(meaning.split()).removesuffix(".")


def amount(name: str, value: float) -> str:
    if name.endswith("seconds"):
        return f"{value:g} s"
    return str(Size(int(value))) if "bytes" in name else f"{value:,}"


def layers() -> str:
    """The layers of the architecture's test, without parts that do not exist yet."""
    spec = importlib.util.spec_from_file_location("architecture", Path(__file__).with_name("test_architecture.py"))
    assert spec is not None
    assert spec.loader is not None
    architecture = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(architecture)
    there = {path.stem for path in (ROOT / "gateway").iterdir()}
    lines = [" ".join(sorted(layer & there)) for layer in architecture.LAYERS]
    return "\n".join(["```text", *filter(None, lines), "```"])


def words_of(states: Mapping[str, str], head: str) -> str:
    """An engine's words, and the states they are."""
    return table((head, "State"), ((f"`{word}`", f"`{state}`") for word, state in states.items()))


TABLES: Mapping[tuple[str, str], Callable[[], str]] = {
    ("expressions.md", "names"): names,
    ("expressions.md", "fields of a task or flow"): lambda: fields(OBJ_MODEL),
    ("expressions.md", "fields of a state"): lambda: fields(STATE_MODEL),
    ("expressions.md", "fields of the event"): lambda: fields(EVENT_MODEL),
    ("expressions.md", "states"): states,
    ("expressions.md", "methods"): methods,
    ("expressions.md", "tests of states"): lambda: asked_of({"state"}),
    ("expressions.md", "tests of values"): lambda: asked_of({"anything", "data", "text", "number"}),
    ("expressions.md", "filters"): lambda: filters_of(FILTERS, given=1),
    ("expressions.md", "filters of messages"): lambda: filters_of(MESSAGE_FILTERS, given=2),
    ("expressions.md", "limits"): limits,
    ("delivery.md", "reasons"): reasons,
    ("architecture.md", "layers"): layers,
    **{("engines/states.md", name): make for name, make in STATE_TABLES.items()},
    ("operating.md", "metrics"): metrics,
    ("http.md", "routes"): routes,
    ("http.md", "metrics"): http_metrics,
    ("http.md", "limits"): http_limits,
    ("http.md", "transition"): lambda: keys_of(TransitionDetail),
    ("http.md", "delivery"): lambda: keys_of(DeliveryDetail),
    ("engines/airflow.md", "task states"): lambda: words_of(airflow.TASK_STATES, "Task instance"),
    ("engines/airflow.md", "run states"): lambda: words_of(airflow.RUN_STATES, "DAG run"),
    ("engines/dagster.md", "run statuses"): lambda: words_of(dagster.RUN_STATES, "Run"),
    ("engines/dagster.md", "step events"): lambda: words_of(dagster.STEP_EVENTS, "Step"),
    ("engines/cloudevents.md", "fields of the event"): lambda: fields(CLOUD_EVENT_MODEL),
}


@pytest.mark.parametrize(("page", "name"), TABLES, ids=lambda value: str(value))
def test_a_table_says_what_the_code_does(page: str, name: str) -> None:
    path = DOCS / page
    begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
    before, begun, rest = path.read_text().partition(begin)
    told, ended, after = rest.partition(end)
    assert begun, f"{page} has no table {name!r}"
    assert ended, f"the table {name!r} of {page} has no end"

    made = TABLES[page, name]() + "\n"

    if os.environ.get("GATEWAY_GOLDEN") == "rewrite":
        path.write_text("".join([before, begin, made, end, after]))
    else:
        assert told == made


@pytest.mark.parametrize("page", sorted({page for page, _ in TABLES}))
def test_every_table_between_marks_is_made_here(page: str) -> None:
    marked = re.findall(r"<!-- begin: (.+) -->", (DOCS / page).read_text())

    assert {(page, name) for name in marked} == {key for key in TABLES if key[0] == page}


def test_every_part_of_the_package_has_its_line_in_the_architecture() -> None:
    parts = {
        path.stem for path in (ROOT / "gateway").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    rooms = (DOCS / "architecture.md").read_text().partition("## Rooms")[2].partition("\n## ")[0]

    assert parts - {"__init__", "__main__"} == set(re.findall(r"^\| `(\w+)(?:/|\.py)` \|", rooms, re.MULTILINE))


# examples whose results stand in a table


def rows_below(mark: str) -> list[list[str]]:
    """The cells of the table below a mark of the page about expressions, without its head."""
    below = EXPRESSIONS.read_text().partition(f"<!-- tried: {mark} -->\n")[2].partition("\n\n")[0]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in below.splitlines()[2:]]
    return [[cell.strip().replace("\\|", "|").strip("`") for cell in row] for row in rows]


def failure(message: str = "no route to host") -> Transition:
    """What the page says of the transition its examples are about."""
    obj = Obj("task", "load-orders", tags=("prod",), flow=Obj("flow", "nightly"))
    return Transition.of(obj, None, Failed(message, result={"rows": 17, "code": None}))


@pytest.mark.parametrize(("source", "holds"), rows_below("conditions"), ids=lambda value: str(value)[:40])
def test_a_condition_holds_or_not_as_the_page_says(source: str, holds: str) -> None:
    assert compile_check(source).holds(failure()) is {"yes": True, "no": False}[holds]


@pytest.mark.parametrize(("value", "text", "markdown", "html"), rows_below("escaping"))
def test_a_value_is_escaped_as_the_page_says(value: str, text: str, markdown: str, html: str) -> None:
    rendered = compile_template(message="{{ state.message }}")

    for format, told in {"text": text, "markdown": markdown, "html": html}.items():
        assert rendered.render(failure(value), format).message.replace(INVISIBLE, "·") == told  # type: ignore[arg-type]


def test_the_page_has_tried_examples() -> None:
    assert len(rows_below("conditions")) > 10
    assert len(rows_below("escaping")) >= 4
