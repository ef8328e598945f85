"""Message templates end to end: what they render, what they refuse and where, how they fail, how they travel."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import cloudpickle
import pytest

from gateway.errors import RenderError, TemplateError
from gateway.format import Format
from gateway.rules.samples import sample_transitions
from gateway.rules.template import MAX_TITLE, compile_template, fallback
from gateway.states import Failed, Retrying, Running
from gateway.transition import Kind, Obj, Transition

AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def transition(state: Any = None, old_state: Any = None, **obj: Any) -> Transition:
    known = {"tags": ("prod", "nightly"), "labels": {"team": "data"}, "parameters": {"day": "2026-03-28", "n": 3}}
    flow = Obj("flow", "etl", "flow-1", labels={"tier": "1"})
    task = Obj("task", **{"name": "load", "run_id": "task-1", "flow": flow, **known, **obj})
    state = state or Failed("no such table", ValueError("no such table"), timestamp=AT)
    return Transition.of(task, old_state or Running(timestamp=AT), state, id="id-1", occurred_at=AT)


def message(source: str, event: Transition | None = None, format: Format = "text", **options: Any) -> str:
    return compile_template(message=source, **options).render(event or transition(), format).message


def problems(source: str, on: Kind | None = None) -> list[str]:
    with pytest.raises(TemplateError) as caught:
        compile_template(message=source, on=on)
    return [str(problem) for problem in (caught.value, *caught.value.others)]


RENDERED: list[tuple[str, str]] = [
    # roots, fields, methods
    ("no markup at all", "no markup at all"),
    ("{{ task.name }} of {{ flow.name }}", "load of etl"),
    ("{{ obj.kind }} {{ obj.run_id }} {{ event.id }} {{ event.source }}", "task task-1 id-1 local"),
    ("{{ state.type }} {{ new_state.type }} {{ old_state.type }}", "Failed Failed Running"),
    ("{{ state.message }}", "no such table"),
    ("{{ state.result.type }}: {{ state.result.message }}", "ValueError: no such table"),
    ("{{ state.is_failed() }} {{ state.is_final() }} {{ old_state.is_failed() }}", "True True False"),
    ("{{ task.name.upper() }} {{ task.name.startswith('lo') }}", "LOAD True"),
    ("{{ task.flow.name }} {{ task.max_retries }}|{{ task.map_index }}|", "etl 0||"),
    ("{{ obj.labels.team }} {{ obj.labels['team'] }} {{ obj.labels.get('x', 'none') }}", "data data none"),
    ("{{ obj.parameters.n + 1 }} {{ obj.parameters.day[:4] }}", "4 2026"),
    ("{{ obj.tags[0] }} {{ obj.tags[-1] }}", "prod nightly"),
    ("{{ event.occurred_at }}", "2026-03-29 01:30:00 UTC"),
    # operators
    ("{{ 1 + 2 * 3 - 4 / 8 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ -3 }} {{ +3 }}", "6.5 3 3 -3 3"),
    ("{{ 'a' + 'b' }} {{ 'n: ' ~ 3 ~ none }}", "ab n: 3"),
    ("{{ event.occurred_at - state.timestamp }}", "0s"),
    ("{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 2 >= 2 }} {{ 1 != 1 }}", "True False True False"),
    ("{{ 'prod' in obj.tags }} {{ 'x' not in obj.tags }} {{ 'a' in 'abc' }}", "True True True"),
    ("{{ state.type in ['Failed', 'Crashed'] }}", "True"),
    ("{{ false or 'this' }} {{ 'a' and 'b' }} {{ not true }}", "this b False"),
    ("{{ 'yes' if state is failed else 'no' }}|{{ 'yes' if state is running }}|", "yes||"),
    # tests
    ("{{ state is failed }} {{ state is not running }} {{ old_state is running }}", "True True True"),
    ("{{ 3 is odd }} {{ 4 is divisibleby 2 }} {{ 1 is in [1, 2] }}", "True True True"),
    (r"{{ state.message is search('\btable\b') }}", "True"),
    (r'{{ state.message is search("such\s+t") }}', "True"),
    (r"{{ 'a\d\\e\'f' }}", r"a\d\e'f"),
    ("{{ task.name is glob('lo*') }}", "True"),
    ("{{ state.result.nope is defined }} {{ state.result.type is defined }}", "False True"),
    # statements
    ("{% if state is running %}a{% elif state is failed %}b{% else %}c{% endif %}", "b"),
    ("{% for tag in obj.tags %}{{ loop.index }}/{{ loop.length }} {{ tag }}; {% endfor %}", "1/2 prod; 2/2 nightly;"),
    ("{% for t in obj.tags if t != 'prod' %}{{ t }}{{ loop.length }}{% endfor %}", "nightly1"),
    ("{% for t in obj.tags if false %}x{% else %}none{% endfor %}", "none"),
    ("{% for k, v in obj.labels.items() %}{{ k }}={{ v }}{% endfor %}", "team=data"),
    ("{% for k in obj.labels %}{{ k }}{% endfor %}", "team"),
    ("{% for x in [1, 2] %}{% for y in [3, 4] %}{{ x * y }} {% endfor %}{% endfor %}", "3 4 6 8"),
    ("{% for x in [1] %}{{ loop.first }}{{ loop.last }}{% endfor %}", "TrueTrue"),
    ("{% for x in [1, 2] %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }} {% endfor %}", "021 110"),
    ("{% set n = obj.tags | length %}{{ n }} tag{{ n | plural }}", "2 tags"),
    ("{% set x = 1 %}{% for y in [1, 2] %}{% set x = x + y %}{{ x }} {% endfor %}{{ x }}", "2 3 1"),
    ("{% if true %}{% set x = 'set' %}{% endif %}{{ x }}", "set"),
    ("a {# a comment #}b {% raw %}{{ raw }}{% endraw %}", "a b {{ raw }}"),
    # missing data is false in conditions
    ("{% if state.result.nope %}a{% else %}b{% endif %}", "b"),
    ("{{ state.result.nope == 3 }} {{ state.result.nope.deeper is defined }}", "False False"),
    ("{{ state.result.nope | default('none') }} {{ state.result.a.b.c | d('deep') }}", "none deep"),
    ("{{ state.result.nope or 'instead' }}", "instead"),
]


@pytest.mark.parametrize(("source", "expected"), RENDERED)
def test_what_a_template_renders(source: str, expected: str) -> None:
    assert message(source) == expected


def test_data_that_is_not_a_plain_value_is_shown_as_json() -> None:
    assert message("{{ state.result }}") == '{"type": "ValueError", "message": "no such table"}'


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ old_state.name or 'unknown' }}", "unknown"),
        ("{{ old_state is failed }} {{ old_state.is_failed() }}", "False False"),
        ("{% if old_state %}a{% else %}b{% endif %}", "b"),
        ("{% if old_state.message == 'x' %}a{% else %}b{% endif %}", "b"),
    ],
)
def test_an_old_state_nobody_told_is_false_like_anything_missing(source: str, expected: str) -> None:
    event = transition()
    event.old_state = None

    assert message(source, event) == expected


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{{ taks.name }}", "1:4: unknown name 'taks' (did you mean 'task'?)"),
        ("\n  {{ state.strat_time }}", "2:11: State has no attribute 'strat_time' (did you mean 'start_time'?)"),
        ("{{ state.is_failed }}", "1:9: 'is_failed' is a method; call it: is_failed()"),
        ("{{ state.is_faild() }}", "1:9: a State has no method 'is_faild' (did you mean 'is_failed'?)"),
        ("{{ task.name | uper }}", "1:16: unknown filter 'uper' (did you mean 'upper'?)"),
        ("{{ state is retryng }}", "1:10: unknown test 'retryng' (did you mean 'retrying'?)"),
        ("{{ state.type == 'Faild' }}", "1:18: 'Faild' can never match (did you mean 'Failed'?)"),
        ("{{ 'Faild' == state.type }}", "1:4: 'Faild' can never match (did you mean 'Failed'?)"),
        ("{{ state.type in ['Failed', 'Runing'] }}", "1:29: 'Runing' can never match (did you mean 'Running'?)"),
        ("{{ state }}", "1:4: a State cannot be shown as a whole; pick an attribute, such as .name"),
        ("{{ obj.tags }}", "1:7: a list cannot be shown as it is; use | join(', ') or | tojson"),
        ("{{ 'tags: ' ~ obj.tags }}", "1:18: a list cannot be shown as it is; use | join(', ') or | tojson"),
        ("{{ state.run_count + 'x' }}", "1:4: + cannot join a number and text; ~ joins anything as text"),
        ("{{ state.run_count > 'x' }}", "1:22: a number and text have no order"),
        ("{{ task.name == 3 }}", "1:17: text is never equal to a number"),
        ("{{ 3 in task.name }}", "1:13: a number cannot be in text"),
        ("{{ 'x' in state.run_count }}", "1:16: nothing can be in a number"),
        ("{{ state < old_state }}", "1:12: a State has no order"),
        ("{{ -task.name }}", "1:4: text has no sign"),
        ("{{ obj.tags | upper }}", "1:15: the filter 'upper' cannot be used on a list"),
        ("{{ state | upper }}", "1:12: the filter 'upper' cannot be used on a State"),
        ("{{ task.name is failed }}", "1:14: the test 'failed' cannot be used on text"),
        ("{{ task.name | replace('a') }}", "1:16: the filter 'replace' needs the argument 'new'"),
        ("{{ task.name | lower(1) }}", "1:16: the filter 'lower' takes 0 arguments, not 1"),
        (
            "{{ task.name | truncate(lenght=3) }}",
            "1:32: the filter 'truncate' takes no argument 'lenght' here (did you mean 'length'?)",
        ),
        (
            "{{ event.occurred_at | localtime('Mars') }}",
            '1:24: the filter \'localtime\': no such time zone; one is named as in "Europe/Paris" or "UTC"',
        ),
        ("{{ obj.tags | select('od') | join }}", "1:15: the filter 'select': no such test; did you mean 'odd'?"),
        ("{{ obj.tags | map('uper') | join }}", "1:15: the filter 'map': no such filter; did you mean 'upper'?"),
        ("{{ state.message is search('(') }}", "not a regular expression"),
        ("{{ state.message is search(task.name) }}", "1:32: the test 'search' takes a regular expression in quotes"),
        ("{{ task.name.startswith(3) }}", "1:25: startswith() takes text, not a number"),
        ("{{ task.name.startswith() }}", "1:24: startswith() takes 1 argument, not 0"),
        ("{{ task.name.center(9) }}", "1:13: text has no method 'center'"),
        ("{{ state.result.upper() }}", "1:16: untyped data has no methods; use a filter (did you mean 'upper'?)"),
        ("{{ task['name'] }}", "1:8: an Obj has no items; its attributes are written with a dot"),
        ("{{ obj.tags['x'] }}", "1:13: an item is taken by its number, not by text"),
        ("{{ obj.labels[1:] }}", "a mapping cannot be sliced"),
        ("{{ task.name[:'a'] }}", "a slice goes from number to number, not by text"),
        ("{% for x in task.name %}{% endfor %}", "1:17: text has nothing to loop over"),
        (
            "{% for t in obj.tags %}{{ loop.indx }}{% endfor %}",
            "1:31: loop has no attribute 'indx' (did you mean 'index'?)",
        ),
        ("{% for t in obj.tags %}{% endfor %}{{ t }}", "1:39: unknown name 't'"),
        ("{% for a in obj.tags %}" * 3 + "{% endfor %}" * 3, "1:50: loops are nested at most 2 deep"),
        ("{% for a in obj.tags recursive %}{% endfor %}", "1:4: a loop cannot be recursive"),
        ("{% set task = 1 %}", "1:8: the name 'task' is taken; choose another"),
        ("{% for state in obj.tags %}{% endfor %}", "1:8: the name 'state' is taken; choose another"),
        ("{% set a, b = 1, 2 %}", "set gives one name a value"),
        ("{{ task.name", "unexpected end of template"),
        ("{% if %}{% endif %}", "Expected an expression"),
        ("{% endfor %}", "Encountered unknown tag 'endfor'"),
        ("{{ {'a': 1} }}", "a mapping written with { } is not part of the template language"),
    ],
)
def test_what_is_wrong_is_found_at_load_and_told_with_its_place(source: str, problem: str) -> None:
    assert problem in problems(source)[0]


def test_every_problem_of_a_template_is_told_at_once() -> None:
    found = problems("{{ taks.name }}\n{% if state is retryng %}{{ task.nmae }}{% endif %}\n{{ task.name | uper }}")

    assert [problem.split(": ")[0] for problem in found] == ["1:4", "2:13", "2:33", "3:16"]


def test_a_task_is_out_of_scope_for_a_handler_of_flows() -> None:
    assert "unknown name 'task'" in problems("{{ task.name }}", on="flow")[0]
    assert message("{{ flow.name }}", on="flow") == "etl"


def test_the_part_that_is_wrong_is_named() -> None:
    for part in ("title", "message", "file"):
        with pytest.raises(TemplateError) as caught:
            compile_template(**{part: "{{ x }}"})
        assert (caught.value.part, caught.value.line, caught.value.column) == (part, 1, 4)


def test_problems_of_title_and_message_are_told_together() -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template(title="{{ x", message="{{ y }}")

    assert [problem.part for problem in (caught.value, *caught.value.others)] == ["title", "message"]


def test_a_file_has_a_title_and_a_message_in_blocks() -> None:
    title = "{% block title %}{{ task.name }} failed{% endblock %}"
    file = f"{{# about failures #}}\n{title}\n\n{{% block message %}}\nBody.\n{{% endblock %}}\n"

    rendered = compile_template(file=file).render(transition())

    assert (rendered.title, rendered.message) == ("load failed", "Body.")


def test_a_file_without_blocks_is_all_message_and_the_title_may_stand_in_the_configuration() -> None:
    rendered = compile_template(title="T", file="All of it: {{ task.name }}\n").render(transition())

    assert (rendered.title, rendered.message) == ("T", "All of it: load")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"file": "{% block title %}a{% endblock %}\n\n  lost"}, "3:3: this stands outside the blocks"),
        ({"file": "lost {% block title %}a{% endblock %}"}, "1:1: this stands outside the blocks"),
        ({"file": "{{ task.name }}{% block title %}a{% endblock %}"}, "outside the blocks"),
        ({"file": "{% block tilte %}a{% endblock %}"}, "1:4: a template has no block 'tilte' (did you mean 'title'?)"),
        ({"file": "{% block title %}{% block message %}{% endblock %}{% endblock %}"}, "{% block %} is not part"),
        ({"file": "{% block title %}{% endblock %}", "title": "x"}, "the title is written twice"),
        ({"file": "all", "message": "x"}, "the message is written twice"),
        ({"message": "{% block title %}x{% endblock %}"}, "{% block %} is not part"),
    ],
)
def test_what_would_be_lost_or_is_said_twice_is_a_problem(options: dict[str, str], problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template(**options)

    assert problem in str(caught.value)


def test_windows_newlines_do_not_move_positions() -> None:
    assert problems("a\r\nb\r\n  {{ x }}")[0].startswith("3:6:")


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("text", "Task load of flow etl went from Running to Failed: no such table"),
        ("markdown", "Task `load` of flow `etl` went from Running to Failed: no such table"),
        ("html", "Task <code>load</code> of flow <code>etl</code> went from Running to Failed: no such table"),
    ],
)
def test_what_nobody_wrote_has_a_sensible_default(format: Format, expected: str) -> None:
    rendered = compile_template().render(transition(), format)

    assert (rendered.title, rendered.message, rendered.format) == ("load: Failed", expected, format)


def test_the_default_message_links_to_the_run_where_it_is_known() -> None:
    event = transition(url="http://localhost/runs/1")

    assert (
        compile_template().render(event, "html").message.endswith('(<a href="http://localhost/runs/1">see the run</a>)')
    )


def test_defaults_do_for_every_sample() -> None:
    template = compile_template()

    assert template.dry_run(sample_transitions()) == []
    for sample in sample_transitions():
        assert sample.obj.name in template.render(sample).message


def test_the_title_is_one_line_of_plain_text_in_every_format() -> None:
    event = transition(name="lo*ad*\n<b>x</b> " + "y" * 300)
    template = compile_template(title="{{ task.name }}\nfailed", message="m")

    titles = {template.render(event, format).title for format in ("text", "markdown", "html")}

    [title] = titles
    assert title.startswith("lo*ad* <\u200bb>x<\u200b/b> y") and len(title) == MAX_TITLE


def test_a_message_that_comes_out_blank_is_the_title() -> None:
    rendered = compile_template(title="T", message="{% if false %}x{% endif %}\n").render(transition(), "html")

    assert (rendered.message, rendered.format) == ("T", "text")


def test_values_are_escaped_and_the_template_s_own_text_is_not() -> None:
    event = transition(name="<b> *x*")

    assert message("<i>*{{ task.name }}*</i>", event, "html") == "<i>*&lt;b&gt; *x**</i>"
    assert message("<i>*{{ task.name }}*</i>", event, "markdown") == r"<i>*\<b\> \*x\**</i>"


def test_a_text_written_in_an_expression_is_a_value_too() -> None:
    assert message("{{ '<b>' }}", format="html") == "&lt;b&gt;"
    assert message("{{ '<!here>' | raw }}", format="markdown") == "<!here>"


def test_what_was_escaped_is_escaped_again_once_it_was_changed() -> None:
    assert message("{{ ('<b>' | raw) ~ '<i>' }}", format="html") == "&lt;b&gt;&lt;i&gt;"
    assert message("{{ '<b>' | escape }} {{ '<b>' | e | upper }}", format="html") == "&lt;b&gt; &amp;LT;B&amp;GT;"


def test_a_very_long_value_is_cut_and_the_message_is_sent() -> None:
    event = transition(Failed("x" * 10_000_000))

    assert 20_000 <= len(message("{{ state.message }}", event)) <= 20_010
    assert message("{{ state.message | lines | last | upper | truncate(9) }}", event) == "XXXXXX..."


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("a\n{{ state.result.nope }}", "message 2:16: state.result.nope is missing"),
        ("{{ state.result.nope.deeper }}", "message 1:21: state.result.nope is missing"),
        ("{{ task.flow.flow.name }}", "message 1:18: task.flow.flow is none here"),
        ("{{ obj.parameters.n + 'x' }}", "+ cannot join a number and text"),
        ("{{ obj.parameters.day * 2 }}", "* cannot join text and a number"),
        ("{{ obj.parameters.day < 2 }}", "not supported between"),
        ("{% for x in obj.parameters.n %}{% endfor %}", "a list is needed here, not a number"),
        ("{% for x in obj.parameters.day %}{% endfor %}", "text has nothing to loop over"),
        ("{% for a, b in [1] %}{% endfor %}", "an item of the loop is not a list of 2"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{% if false %}{% set x = 1 %}{% endif %}{{ x }}", "x is not set here"),
        ("{{ [] | first }}", "the first item of an empty list is missing"),
    ],
)
def test_what_fails_on_real_data_says_where_and_why(source: str, reason: str) -> None:
    with pytest.raises(RenderError) as caught:
        message(source)

    assert reason in str(caught.value)


def test_errors_do_not_hold_the_data() -> None:
    event = transition(Failed("hunter2"), parameters={"day": "hunter2", "n": "hunter2"})

    for source in (
        "{{ obj.parameters.day | round }}",
        "{{ obj.parameters.n | duration }}",
        "{{ obj.parameters.n < 3 }}",
    ):
        with pytest.raises(RenderError) as caught:
            message(source, event)
        assert "hunter2" not in repr(caught.value) and caught.value.__cause__ is None


def test_an_object_that_cannot_be_printed_is_told_by_its_kind() -> None:
    class Hostile:
        def __str__(self) -> str:
            raise SystemError("no")

    assert (
        message("{{ state.message }}", transition(Failed(Hostile())))
        == "<\u200bHostile that cannot be printed: SystemError>"
    )
    assert message("{{ state.result }}", transition(Failed(result=Hostile()))) == "<\u200bHostile>"


def test_a_dry_run_tells_where_a_template_cannot_work() -> None:
    template = compile_template(message="{{ task.name }} {{ state.result.rows }}")

    failures = template.dry_run(sample_transitions())

    assert {sample.kind for sample, _ in failures} == {"flow"}
    assert "task is none here" in str(failures[0][1])
    assert template.untyped == 1


def test_the_fallback_tells_what_happened_and_why_it_is_plain() -> None:
    event = transition(Failed("no <b>such</b> table @everyone"), url="http://localhost/1")

    rendered = fallback(event, "load-failed", RenderError("message 1:4: x is missing"))

    assert rendered.title == "load: Failed" and rendered.format == "text"
    assert rendered.message == (
        "task load is Failed: no <\u200bb>such<\u200b/b> table @\u200beveryone\nhttp://localhost/1\n"
        "(The template of handler 'load-failed' failed: message 1:4: x is missing. This is plain text instead.)"
    )


def test_the_fallback_keeps_data_out_of_unknown_errors_and_is_short() -> None:
    rendered = fallback(transition(Failed("x" * 9_000)), "h", ValueError("hunter2"))

    assert "hunter2" not in rendered.message and len(rendered.message) < 2_500


def test_a_template_travels_as_its_source() -> None:
    template = compile_template(title="{{ task.name }}", message="{{ state.message }}", on="task", handler="h")

    for carry in (pickle, cloudpickle):
        copy = carry.loads(carry.dumps(template))
        assert copy == template
        assert copy.render(transition()) == template.render(transition())


def test_the_same_source_is_compiled_once() -> None:
    first, second = (compile_template(message="{{ task.name }}", handler="h") for _ in range(2))

    assert first is second
    assert compile_template(message="{{ task.name }}", handler="other") is not first


def test_a_template_shows_the_name_of_its_handler() -> None:
    assert message("told by {{ handler }}", handler="load-failed") == "told by load-failed"


def test_a_template_is_shared_between_threads() -> None:
    template = compile_template(message="{% for t in obj.tags %}{% set n = t ~ task.name %}{{ n }} {% endfor %}")
    events = [transition(name=f"t{number}") for number in range(50)]

    with ThreadPoolExecutor(8) as threads:
        texts = list(threads.map(lambda event: template.render(event).message, events * 4))

    assert texts == [f"prodt{number} nightlyt{number}" for number in range(50)] * 4


def test_a_result_is_made_plain_once_per_rendering() -> None:
    reads = 0

    class Counting(dict[str, int]):
        def items(self) -> Any:
            nonlocal reads
            reads += 1
            return super().items()

    message("{% for x in [1, 2, 3] %}{{ state.result.a }}{% endfor %}", transition(Failed(result=Counting(a=1))))

    assert reads == 1


def test_times_are_told_from_when_the_transition_happened() -> None:
    event = transition(Retrying("again", start_time=AT + timedelta(minutes=5), timestamp=AT - timedelta(hours=2)))

    assert message("{{ state.start_time | relative }}, {{ state.timestamp | relative }}", event) == "in 5m, 2h ago"
    assert message("{{ state.timestamp | relative(state.start_time) }}", event) == "2h 5m ago"
