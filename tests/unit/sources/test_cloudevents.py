"""CloudEvents: their three forms, and what the declared tables make of them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.compile import EventMapping, compile_ruleset
from gateway.config import Sources, load
from gateway.errors import PayloadError
from gateway.rules.mapping import CloudEvent
from gateway.sources.cloudevents import read_binary, read_event, read_structured
from gateway.sources.cloudevents.words import KNOWN, type_of
from gateway.sources.reading import Ignored
from gateway.sources.runs import Runs
from gateway.states import STATES

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "tests" / "samples" / "cloudevents"
PAGE = (ROOT / "docs" / "engines" / "cloudevents.md").read_text()
NOW = datetime(2026, 11, 28, tzinfo=UTC)
AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
PREFECT = """
name = 'data.run.name'
run_id = 'data.run.id'
state = 'data.new_state.type'
old_state = 'data.old_state.type'
message = 'data.new_state.message'
tags = 'data.tags'
parameters = 'data.parameters'
run_count = 'data.run_count'
"""


def mappings(text: str, name: str = "it") -> tuple[EventMapping, ...]:
    """The tables of ``text``; of one alone, its keys will do."""
    text = text if "[source" in text else f"[source.cloudevents.{name}]\n{text}"
    compiled = compile_ruleset(load(Sources("a.toml", {"a.toml": text})))
    assert compiled.ruleset is not None, compiled.problems
    return compiled.ruleset.event_mappings


def problems(text: str) -> list[str]:
    text = f"[source.cloudevents.it]\n{text}"
    return [str(one) for one in compile_ruleset(load(Sources("a.toml", {"a.toml": text}))).problems]


def event(data: Any = None, **keys: Any) -> CloudEvent:
    return CloudEvent(**{"id": "e-1", "source": "/here", "type": "changed", "time": AT, "data": data, **keys})


def told(text: str, *events: CloudEvent) -> list[Any]:
    runs, found = Runs(lambda keys: {}), mappings(text)
    return [one for sent in events for one in runs.settle(read_event(sent, found, NOW))]


def complaints(text: str, sent: CloudEvent) -> tuple[str, ...]:
    with pytest.raises(PayloadError) as refused:
        read_event(sent, mappings(text), NOW)
    return refused.value.complaints


# forms


def request(form: str) -> dict[str, Any]:
    """A request that a client of the standard sent."""
    return json.loads((SAMPLES / f"http.{form}.json").read_text())


def test_all_forms_of_an_event_are_the_same_event() -> None:
    binary, structured, batch = (request(form) for form in ("binary", "structured", "batch"))

    read = read_binary(binary["headers"].items(), json.dumps(binary["body"]).encode())

    assert read == read_structured(json.dumps(structured["body"]).encode())
    assert read == read_structured(json.dumps(batch["body"][0]).encode())
    assert (read.subject, read.extensions) == (
        "flow-run/b94e8a0c-8294-4ce1-b09d-90debd648291",
        {"partitionkey": "b94e8a0c"},
    )
    assert read.data["new_state"]["message"] == 'ValueError: dep boom é "quoted"'


HEADERS = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/a", "ce-type": "t"}


@pytest.mark.parametrize(
    ("written", "meant"),
    [("Euro%20%E2%82%AC", "Euro €"), ("plain", "plain"), ('"in \\"quotes\\""', 'in "quotes"'), ("50%", "50%")],
)
def test_headers_are_decoded(written, meant) -> None:
    assert read_binary((HEADERS | {"ce-subject": written}).items(), b"").subject == meant


@pytest.mark.parametrize(
    ("content_type", "body", "data"),
    [
        ("application/json", b'{"a": 1}', {"a": 1}),
        ("application/vnd.acme+json; charset=utf-8", b"[1]", [1]),
        (None, b"3", 3),
        ("text/plain", b"failed", "failed"),
        ("application/xml", b"<a/>", "<a/>"),
        ("application/octet-stream", b"\xff\x00", None),
        ("application/json", b"", None),
    ],
)
def test_data_is_json_or_text(content_type, body, data) -> None:
    headers = HEADERS | ({} if content_type is None else {"content-type": content_type})
    structured = {key.removeprefix("ce-"): value for key, value in HEADERS.items()}
    structured |= {"data_base64": base64.b64encode(body).decode()}
    structured |= {} if content_type is None else {"datacontenttype": content_type}

    assert read_binary(headers.items(), body).data == data
    assert read_structured(json.dumps(structured).encode()).data == data


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"id": None}, "id: Input should be a valid string"),
        ({"id": ""}, "id: String should have at least 1 character"),
        ({"source": ...}, "source: is missing"),
        ({"specversion": "0.3"}, "specversion: Input should be '1.0'"),
        ({"type": ["a"]}, "type: Input should be a valid string"),
        ({"time": "now"}, "time: Input should be a valid datetime"),
        ({"data_base64": "%"}, "data_base64: is not in base64"),
        ({"data_base64": "ew=="}, "data: not JSON"),
        ({"subject": "x" * 2000}, "subject: String should have at most 1000 characters"),
    ],
)
def test_what_is_wrong_with_an_envelope_is_told_by_its_attribute(changed, complaint) -> None:
    written = {"specversion": "1.0", "id": "1", "source": "/a", "type": "t", **changed}

    with pytest.raises(PayloadError, match=f"^{complaint}"):
        read_structured(json.dumps({key: one for key, one in written.items() if one is not ...}).encode())


def test_an_attribute_that_is_there_twice_is_refused_and_not_chosen_from() -> None:
    with pytest.raises(PayloadError, match="ce-id: is there more than once"):
        read_binary([*HEADERS.items(), ("ce-id", "another")], b"")


@pytest.mark.parametrize(
    ("headers", "complaint"),
    [({"ce-subject": "%ff"}, "ce-subject: must be in UTF-8"), ({"ce-data": "x"}, "ce-data: is no attribute")],
)
def test_what_is_wrong_with_a_header_is_told_by_its_name(headers, complaint) -> None:
    with pytest.raises(PayloadError, match=f"^{complaint}"):
        read_binary((HEADERS | headers).items(), b"")


# tables


def test_a_table_says_what_an_event_tells() -> None:
    sent = read_structured(json.dumps(request("structured")["body"]).encode())

    (one,) = told(PREFECT, sent)

    assert (one.kind, one.obj.name, one.state.type, one.state.name) == ("flow", "illegal-pony", "Failed", "FAILED")
    assert (one.old_state.type, one.obj.tags, one.obj.parameters) == (
        "Running",
        ("prod", "team-x"),
        {"customer": "globex"},
    )
    assert (one.source, one.occurred_at, one.state.run_count) == ("cloudevents", sent.time, 1)


MAPPED = {
    "argo": (
        ("flow", "orders", "Running", "Failed"),
        {
            "message": "child 'orders-7x2mk-load' failed",
            "parameters": {"day": "2026-03-28"},
            "url": "https://argo.example.org/workflows/data/orders-7x2mk",
        },
    ),
    "tekton": (
        ("flow", "deploy", "Running", "Failed"),
        {
            "message": "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 1",
            "parameters": {"revision": "main"},
            "url": "",
        },
    ),
    "pipeline": (
        ("flow", "nightly", "Running", "Failed"),
        {
            "message": None,
            "parameters": {},
            "url": "https://git.example.org/acme/orders/actions/runs/9124418117",
        },
    ),
    "script": (("task", "backup", "Running", "Failed"), {"message": "exit code 23", "parameters": {}, "url": ""}),
}


@pytest.mark.parametrize("name", MAPPED)
def test_the_tables_of_the_page_understand_what_those_engines_send(name) -> None:
    """The events are in the form that the engines document; all tables of the page are in force at once."""
    events = [read_structured(json.dumps(one).encode()) for one in json.loads((SAMPLES / f"{name}.json").read_text())]

    transitions = told("\n".join(block for block in toml_blocks()), *events)

    (kind, obj, old, new), more = MAPPED[name]
    assert [one.state.type for one in transitions] == ["Running", "Failed"]
    last = transitions[-1]
    assert (last.kind, last.obj.name, last.old_state.type, last.state.type) == (kind, obj, old, new)
    assert {"message": last.state.message, "parameters": last.obj.parameters, "url": last.obj.url} == more
    assert last.obj.started_at is not None


def toml_blocks() -> list[str]:
    return [part.partition("```")[0] for part in PAGE.split("```toml\n")[1:]]


def test_the_first_table_that_takes_an_event_decides() -> None:
    text = """
    [source.cloudevents.first]
    when = 'event.type == "a"'
    name = '"first"'
    state = '"Failed"'
    [source.cloudevents.second]
    name = '"second"'
    state = '"Failed"'
    """

    assert [one.obj.name for one in told(text, event(type="a"), event(type="b", id="e-2"))] == ["first", "second"]


def test_an_event_that_no_table_takes_is_ignored() -> None:
    text = "when = 'event.type == \"a\"'\nname = '\"x\"'\nstate = 'data.state'"

    assert read_event(event(), mappings(text), NOW) == Ignored("no_table")
    assert read_event(event(), (), NOW) == Ignored("no_table")


@pytest.mark.parametrize(
    ("word", "type"),
    [
        ("Failed", "Failed"),
        ("FAILED", "Failed"),
        ("in_progress", "Running"),
        ("In Progress", "Running"),
        ("timed-out", "TimedOut"),
        ("upstream_failed", "TriggerFailed"),
        ("Succeeded", "Success"),
        ("Weird", "Paused"),
    ],
)
def test_words_of_engines_are_states(word, type) -> None:
    (one,) = told("name = '\"x\"'\nstate = 'data'\nstates = { Weird = 'Paused' }", event(word))

    assert (one.state.type, one.state.name) == (type, word)


def test_every_state_is_a_word_for_itself_and_every_word_a_state() -> None:
    assert {*KNOWN.values()} == {*STATES}
    assert all(type_of(type, {}) == type for type in STATES)


def test_a_declared_word_goes_before_a_known_one() -> None:
    assert type_of("failed", {"failed": "Crashed"}) == "Crashed"


ALL_KEYS = """
kind = "task"
name = 'data.name'
run_id = 'data.id'
state = 'data.state'
flow = 'data.flow'
flow_run_id = 'data.flow_id'
tags = 'data.tags'
labels = 'data.labels'
map_index = 'data.index'
started_at = 'data.began'
start_time = 'data.due'
occurred_at = 'data.at'
max_retries = 'data.retries'
result = 'data.result'
"""


def test_values_are_made_to_fit_where_that_is_plain() -> None:
    data = {"name": 7, "id": 12, "state": "retry", "flow": "etl", "flow_id": 3.5, "tags": ["a", 1, True]}
    data |= {"labels": [{"key": "team", "value": "data"}], "index": "2", "began": 1774747800, "due": 1774747800000}
    data |= {"at": "2026-03-29T01:30:00+02:00", "retries": 3.0, "result": {"rows": [1]}}

    (one,) = told(ALL_KEYS, event(data))

    assert (one.obj.name, one.obj.run_id, one.flow.name, one.flow.run_id) == ("7", "12", "etl", "3.5")
    assert (one.obj.tags, one.obj.labels) == (("a", "1", "true"), {"team": "data"})
    assert (one.obj.map_index, one.obj.max_retries) == (2, 3)
    assert one.obj.started_at == one.state.start_time == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert (one.occurred_at, one.state.result) == (datetime(2026, 3, 28, 23, 30, tzinfo=UTC), {"rows": [1]})


def test_what_is_not_there_is_left_out() -> None:
    (one,) = told(ALL_KEYS, event({"name": "load", "state": "failed"}))

    assert (one.obj.run_id, one.obj.tags, one.obj.map_index, one.occurred_at) == ("", (), None, AT)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"name": "x"}, "state = data.state: there is nothing of it in this event"),
        ({"name": {}, "state": "failed"}, "name = data.name: must be text, and is a mapping"),
        (
            {"name": "x", "state": "faild"},
            "state = data.state: 'faild' is no state that is known; say what it means, such as states = { 'faild' =",
        ),
        ({"name": "x", "state": "failed", "id": []}, "run_id = data.id: must be text, and is a list"),
        ({"name": "x", "state": "failed", "tags": 3}, "tags = data.tags: must be a list of texts, and is a number"),
        ({"name": "x", "state": "failed", "labels": "a"}, "labels = data.labels: must be a mapping, or a list"),
        ({"name": "x", "state": "failed", "index": "one"}, "map_index = data.index: must be a whole number, and is"),
        ({"name": "x", "state": "failed", "began": "noon"}, "started_at = data.began: must be a time, or a text"),
        ({"name": "x", "state": "failed", "began": "2026-03-29T01:30:00"}, "started_at = data.began: must be a time"),
        ({"name": "x", "state": "failed", "at": "2036-03-29T01:30:00Z"}, None),
        ({"name": "", "state": "failed"}, "name = data.name: must have 1 to 1000 characters, and has 0"),
    ],
)
def test_what_a_table_needs_and_does_not_find_is_told_by_table_key_and_expression(data, complaint) -> None:
    (told,) = complaints(ALL_KEYS, event(data))

    assert told.startswith(f"[source.cloudevents.it] {complaint}" if complaint else "time: 2036-03-29T01:30:00+00:00")


def test_everything_that_is_wrong_is_told_at_once() -> None:
    assert len(complaints(ALL_KEYS, event({"tags": 3}))) == 3


def test_an_event_without_a_time_happened_now() -> None:
    assert told("name = '\"x\"'\nstate = '\"failed\"'", event(time=None))[0].occurred_at == NOW


def test_the_same_id_of_the_same_source_is_the_same_transition() -> None:
    text = "name = '\"x\"'\nstate = '\"failed\"'"

    ids = [told(text, sent)[0].id for sent in (event(), event(data=3), event(id="e-2"), event(source="/there"))]

    assert ids[0] == ids[1]
    assert len({*ids}) == 3


def test_a_run_that_stays_as_it_is_did_not_change() -> None:
    text = "name = '\"x\"'\nrun_id = '\"r\"'\nstate = 'data'"
    later = [event(data, id=str(second), time=AT.replace(second=second)) for second, data in enumerate("ab")]
    words = "states = { a = 'Running', b = 'Running' }"

    assert len(told(f"{text}\n{words}", *later)) == 1


# declarations


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("state = 'data'", "is missing: name of the flow or task"),
        ("name = 'dta.x'\nstate = 'data'", "a.toml:2:9: source.cloudevents.it.name: unknown name 'dta'"),
        ("name = 'event.tpe'\nstate = 'data'", "CloudEvent has no attribute 'tpe'"),
        ("name = 'event'\nstate = 'data'", "a whole CloudEvent is no value"),
        ("name = 'event.time'\nstate = '[data]'", "must give text, and gives a list"),
        ("name = 'data'\nstate = 'data'\ntags = '3'", "must give a list of texts, and gives a number"),
        ("name = 'data'\nstate = 'data'\nstates = { x = 'Faild' }", "there is no state 'Faild'"),
        ("name = 'data'\nstate = 'data'\nkind = 'job'", "must be 'flow' or 'task'"),
        ("name = 'data'\nstate = 'data'\nflow = 'data'", "goes with kind = 'task' only"),
        ("name = 'data'\nstate = 'data'\nrunid = 'data'", "unknown key (did you mean 'run_id'?)"),
        ("name = 'data'\nstate = 'data'\nwhen = 'state is failed'", "unknown name 'state'"),
        (
            "name = 'data'\nstate = 'data'\nwhen = 'event.type =='",
            "a.toml:4:20: source.cloudevents.it.when: ends too early",
        ),
        ("name = ''\nstate = 'data'", "is empty: leave the key out instead"),
        ("name = 'backup'\nstate = 'data'", """unknown name 'backup'; a text is written as '"backup"'"""),
    ],
)
def test_what_is_wrong_with_a_table_is_told_with_its_place(text, problem) -> None:
    assert any(problem in told for told in problems(text)), problems(text)


def test_a_table_without_a_name_is_told_how_to_have_one() -> None:
    loaded = load(Sources("", {"a.toml": "[source.cloudevents]\nname = 'data'\n"}))

    assert "a.toml:2:1: source.cloudevents.name: stands in a table with a name" in str(loaded.problems[0])


def test_tables_may_stand_in_several_files_and_each_in_one() -> None:
    table = "[source.cloudevents.{}]\nname = 'data'\nstate = 'data'\n"
    files = {"a.toml": table.format("b"), "b.toml": table.format("a"), "c.toml": table.format("b")}

    two, loaded = load(Sources("", {key: files[key] for key in ("a.toml", "b.toml")})), load(Sources("", files))

    assert list(two.sound.source.cloudevents) == ["b", "a"]
    assert [str(one) for one in loaded.problems if one.severity == "error"] == [
        "c.toml:1:21: source.cloudevents.b: is declared already, at a.toml:1:21"
    ]


def test_a_server_that_is_turned_off_is_worth_a_warning() -> None:
    told = problems("name = 'data'\nstate = 'data'\n[server]\nenabled = false")

    assert any("a.toml:1:9: source.cloudevents: no event can come" in one for one in told), told
