"""Every known way to break out of a template or to make it eat the machine, refused at load or stopped in time.

The vectors that want time or memory run in one process of their own with hard limits, so that
what stops working here cannot take the test run with it.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.errors import RenderError, TemplateError
from gateway.rules.template import compile_template
from gateway.states import Failed, Running
from gateway.transition import Obj, Transition

AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
MAX_SECONDS = 2.0
MAX_MEGABYTES = 100

ESCAPES = [
    # formatting of text reaches attributes (CVE-2016-10745, CVE-2019-10906, CVE-2024-56326, CVE-2025-27516)
    "{{ '{0.__class__}'.format(state) }}",
    "{{ '{a.__class__}'.format_map({'a': state}) }}",
    "{{ ''.format }}",
    "{% set f = ''.format %}{{ f(state) }}",
    "{{ ['{0.__class__}'] | map('format', state) | join }}",
    "{{ '{0.__class__}' | attr('format') }}",
    "{{ ('' | attr('format'))(state) }}",
    "{{ '%s' % state }}",
    "{{ '%s' | format(state) }}",
    # the way up from any object
    "{{ state.__class__ }}",
    "{{ state.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''.__class__.__base__ }}",
    "{{ [].__class__ }}",
    "{{ state['__class__'] }}",
    "{{ state | attr('__class__') }}",
    "{{ task.__init__.__globals__ }}",
    "{{ task.flow.__dict__ }}",
    "{{ state.is_failed.__func__ }}",
    "{{ state.result.__class__ }}",
    "{{ state.result['__class__'] }}",
    "{{ state.result['__cl' ~ 'ass__'] }}",
    "{{ obj.parameters.__class__ }}",
    "{{ obj.parameters['get'] }}",
    "{{ obj.tags.append('x') }}",
    "{{ state.result.update({'a': 1}) }}",
    "{{ [state.result] | map(attribute='__class__') | join }}",
    "{{ [1, 2] | sort(attribute='__class__') | join }}",
    "{{ [1] | sum(attribute='__class__') }}",
    "{{ [1] | map('attr', '__class__') | join }}",
    "{{ [1] | groupby('__class__') }}",
    "{{ [state] }}",
    "{{ state.context }}",
    "{{ state.replace(message='x') }}",
    "{{ event.of(obj, state, state) }}",
    # what a template engine or its host puts into scope
    "{{ self }}",
    "{{ self.__init__.__globals__ }}",
    "{{ super() }}",
    "{{ caller() }}",
    "{{ varargs }}",
    "{{ lipsum.__globals__ }}",
    "{{ cycler.__init__ }}",
    "{{ joiner }}",
    "{{ namespace() }}",
    "{{ dict(a=1) }}",
    "{{ range(3) }}",
    "{{ config }}",
    "{{ environment }}",
    "{{ context }}",
    "{{ e }}",
    "{{ it }}",
    "{{ _text }}",
    "{{ _plain(state) }}",
    "{{ __builtins__ }}",
    "{% for x in [1] %}{{ loop }}{% endfor %}",
    "{% for x in [1] %}{{ loop.__init__ }}{% endfor %}",
    "{% for x in [1] %}{{ loop(x) }}{% endfor %}",
    # statements that load, define or change (CVE-2024-56201)
    "{% include 'x' %}",
    "{% import 'os' as os %}",
    "{% from 'os' import system %}",
    "{% extends 'x' %}",
    "{% macro m() %}{% endmacro %}",
    "{% call x() %}{% endcall %}",
    "{% filter upper %}x{% endfilter %}",
    "{% set x %}y{% endset %}",
    "{% with x = 1 %}{% endwith %}",
    "{% autoescape false %}x{% endautoescape %}",
    "{% do x %}",
    "{% debug %}",
    "{% trans %}x{% endtrans %}",
    "{% set state.type = 'x' %}",
    "{% set ns = namespace(a=1) %}{% set ns.a = 2 %}",
    "{% for state.type in [1] %}{% endfor %}",
    # filters with a history (CVE-2024-22195, CVE-2024-34064, CVE-2020-28493)
    "{{ {'a': 1} | xmlattr }}",
    "{{ 'http://x' | urlize }}",
    "{{ state | pprint }}",
    "{{ 'x' | safe }}",
    "{{ [1] | random }}",
    # pydantic's deprecated readers run code (pickle) and open files; no model, no method of one is in reach
    "{{ state.result.parse_raw('x', proto='pickle', allow_pickle=true) }}",
    "{{ state.result.model.parse_raw('x', proto='pickle', allow_pickle=true) }}",
    "{{ state.result.model.parse_file('/etc/passwd') }}",
    "{{ state.result.model['parse_raw'] }}",
    "{{ [state.result.model] | map(attribute='model_fields') | join }}",
    "{{ state.result.model.model_copy }}",
    # printing what may hold secrets or addresses
    "{{ state }}",
    "{{ task }}",
    "{{ event }}",
    "{{ state ~ '' }}",
    "{{ state | string }}",
    "{{ state | tojson }}",
    "{{ [1] | map('default', state) | join }}",
]

ROWS = "{% for i in state.result.rows %}"
LETTERS = "{% for i in state.message | list %}"
TAGS = "{% for i in obj.tags %}"
END = "{% endfor %}"

RESOURCES = {
    "a huge range": "{% for i in range(10 ** 9) %}x{% endfor %}",
    "ranges in ranges": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "loops over data": ROWS + "{% for j in state.result.rows %}{{ i * j }}" + END * 2,
    "empty loops": LETTERS * 2 + END * 2,
    "a filtered loop": LETTERS + "{% for j in state.message | list if j == 'x' %}" + END * 2,
    "many loops in a row": "{% for i in state.message | list %}{{ i }}{% endfor %}" * 60,
    "loops three deep": TAGS * 3 + END * 3,
    "a recursive loop": "{% for a in obj.tags recursive %}{{ loop(obj.tags) }}{% endfor %}",
    "text times a number": "{{ 'a' * 10000000000 }}",
    "data times a number": "{{ state.message * 1000000000 }}",
    "a list times a number": "{{ [1] * 1000000000 }}",
    "padding by %": "{{ '%0999999999d' % 1 }}",
    "padding by center": "{{ 'x' | center(1000000000) }}",
    "padding by ljust": "{{ 'x'.ljust(1000000000) }}",
    "padding by zfill": "{{ 'x'.zfill(1000000000) }}",
    "padding by expandtabs": "{{ '\t'.expandtabs(1000000000) }}",
    "padding by format": "{{ '{:>999999999}'.format(1) }}",
    "padding by the format filter": "{{ '%999999999d' | format(1) }}",
    "padding by a time format": "{{ event.occurred_at | datetimeformat('%999999999Y') }}",
    "padding by a time format in data": "{{ event.occurred_at | datetimeformat(obj.parameters.format) }}",
    "indent": "{{ state.message | indent(1000000000) }}",
    "indent of many lines": "{{ state.result.lines | indent(200) }}",
    "indent by text": "{{ state.result.lines | indent(state.message) }}",
    "indented JSON": "{{ state.result | tojson(indent=1000000000) }}",
    "batch": "{{ [1] | batch(1000000000, 'x') | list | length }}",
    "slice": "{{ [1] | slice(1000000000) | list | length }}",
    "wordwrap": "{{ state.message | wordwrap(1, wrapstring='xxxxxxxxxxxx') }}",
    "join": "{{ state.message | list | join(state.message) }}",
    "join of text": "{{ state.message.join(obj.tags) }}",
    "replace": "{{ state.message | replace('m', state.message) }}",
    "replace of nothing": "{{ state.message | replace('', state.message) }}",
    "replaces in a row": "{{ 'aa' | replace('a', 'aaaaaaaaaaaaaaaaaa')"
    + " | replace('a', 'aaaaaaaaaaaaaaaaaa')" * 30
    + " }}",
    "a power": "{{ 10 ** 10 ** 9 }}",
    "a power of data": "{{ state.result.n ** state.result.n }}",
    "products": "{% set a = state.result.n %}" + "{% set a = a * a %}" * 60 + "{{ a }}",
    "a huge number": "{{ state.result.huge }}",
    "a number of many digits": "{{ " + "9" * 15_000 + " }}",
    "a number of many digits in hexadecimal": "{{ 0x" + "f" * 15_000 + " }}",
    "a number out of text": "{{ state.result.digits | int + 1 }}",
    "rounding to many digits": "{{ 1.5 | round(1000000000) }}",
    "doubling text": "{% set a = 'x' %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}",
    "adding text": "{% set a = 'x' %}" + "{% set a = a + a %}" * 40 + "{{ a }}",
    "adding lists": "{% set a = [1] %}" + "{% set a = a + a %}" * 40 + "{{ a | length }}",
    "doubling untyped text": "{% set a = state.result.big %}" + "{% set a = a + a %}" * 40 + "{{ a | length }}",
    "many long texts": "".join(f"{{% set a{n} = state.result.big ~ {n} %}}" for n in range(300)),
    "joining many long texts": "{{ " + " ~ ".join(["state.result.big"] * 200) + " }}",
    "lists in lists": "{% set a = [1] %}" + "{% set a = [a, a] %}" * 40 + "{{ a }}",
    "lists in lists, out of data": "{% set a = state.result.rows %}" + "{% set a = [a, a] %}" * 40 + "{{ a | tojson }}",
    "lists in lists, by choice": "{% set a = 1 %}" + "{% set a = [a, a] if true else 1 %}" * 40 + "{{ a == a }}",
    "lists in lists, by map": "{% set a = [0, 0] %}"
    + "{% set a = [0, 0] | map('default', a, true) %}" * 40
    + "{{ a | tojson }}",
    "lists in lists, by key": "{% set a = [{}] %}" + "{% set a = a | map(attribute='x', default=a) %}" * 40 + "{{ a }}",
    "a macro that calls itself": "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "lipsum": "{{ lipsum(n=100000) }}",
    "sorting in a loop": "{% for i in state.result.rows %}{{ state.message | list | sort | length }}{% endfor %}",
    "unique in a loop": "{% for i in state.result.rows %}{{ state.message | unique | list | length }}{% endfor %}",
    "JSON in a loop": "{% for i in state.result.rows %}{{ state.result | tojson | length }}{% endfor %}",
    "upper in a loop": "{% for i in state.result.rows %}{{ (state.result.big ~ i).upper() | length }}{% endfor %}",
    "searching text in a loop": "{% for i in state.result.rows %}"
    + "{% if state.result.needle in state.result.big %}{% endif %}" * 150
    + "{% endfor %}",
    "a regular expression in a loop": ROWS + "{% if state.message is search('m.*x') %}{% endif %}" + END,
    "a hopeless regular expression": "{{ state.message is search('^(m+)+$') }}",
    "a regular expression out of data": "{{ state.message is search(state.result.pattern) }}",
    "a regular expression by name": "{{ [state.message] | select('search', '^(m+)+$') | list | length }}",
    "slices in a loop": "{% for i in state.result.rows %}"
    + "{{ state.result.big[1:] | length }}" * 20
    + "{% endfor %}",
    "output in a loop": "{% for i in state.result.rows %}{{ state.result.big }}{% endfor %}",
    "text of the template in a loop": "{% for i in state.result.rows %}" + "x" * 10_000 + "{% endfor %}",
    "escaping what was escaped": "{{ '&' * 9 }}{{ state.result.ands | e | e | e | e | e | e | length }}",
    "percent signs": "{{ state.result.umlauts | urlencode }}",
    "many comments to strip": ROWS + "{{ state.result.comments | striptags | length }}" + END,
    "deep parentheses": "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "deep lists": "{{ " + "[" * 5_000 + "1" + "]" * 5_000 + " }}",
    "deep negation": "{{ " + "not " * 3_000 + "1 }}",
    "deep signs": "{{ " + "- " * 6_000 + "1 }}",
    "a long sum": "{{ " + "1 + " * 4_000 + "1 }}",
    "a long and": "{{ " + "1 and " * 2_500 + "1 }}",
    "a long chain of filters": "{{ 'x'" + " | upper" * 1_800 + " }}",
    "a long chain of attributes": "{{ state.result" + ".x" * 7_000 + " }}",
    "a long chain of items": "{{ state.result" + "['x']" * 3_000 + " }}",
    "a long chain of comparisons": "{{ 1" + " < 1" * 3_500 + " }}",
    "deep choices": "{{ " + "1 if 1 else " * 1_300 + "1 }}",
    "deep conditions": "{% if 1 %}" * 700 + "{% endif %}" * 700,
    "deep loops": "{% for a in obj.tags %}" * 30 + "{% endfor %}" * 30,
    "many branches": "{% if 0 %}" + "{% elif 0 %}" * 1_300 + "{{ state }}{% endif %}",
    "a long source": "x" * 16_385,
    "a very long source": "{{ 1 }}" * 1_000_000,
    "many expressions": "{{ 1 }}" * 2_000,
    "a long name": "{{ " + "x" * 16_000 + " }}",
}

TAME = {"a number out of text", "a hopeless regular expression"}
"""These may render, at no cost: text of too many digits is no number, and RE2 knows no hopeless expression."""


def transition(result: object) -> Transition:
    flow = Obj("flow", "etl")
    parameters = {"format": "%999999999Y"}
    obj = Obj("task", "load", tags=tuple(f"tag{n}" for n in range(200)), parameters=parameters, flow=flow)
    state = Failed("m" * 20_000, result, timestamp=AT)
    return Transition.of(obj, Running(timestamp=AT), state, id="id", occurred_at=AT)


def greedy() -> Transition:
    return transition(
        {
            "rows": [*range(200)],
            "big": "x" * 20_000,
            "needle": "x" * 9_999 + "y",
            "lines": "\n" * 20_000,
            "ands": "&" * 20_000,
            "umlauts": "ü" * 20_000,
            "comments": "<!---->" * 2_800,
            "digits": "9" * 20_000,
            "pattern": "^(m+)+$",
            "n": 10**17,
            "huge": 10**20_000,
        }
    )


def outcome(source: str, event: Transition) -> str:
    try:
        template = compile_template(message=source)
    except TemplateError as error:
        return f"refused: {error}"
    try:
        return f"rendered: {template.render(event).message[:200]}"
    except RenderError as error:
        return f"stopped: {error}"


@pytest.mark.parametrize("source", ESCAPES)
def test_a_template_cannot_reach_beyond_its_data(source: str) -> None:
    assert outcome(source, transition({"model": "data"})).startswith(("refused", "stopped"))


def test_keys_that_look_like_attributes_choose_nothing() -> None:
    source = "{{ [1, 2] | selectattr('__class__') | list | length }}{{ state.result.__class__ is defined }}"

    assert "private" in outcome(source, transition({}))
    assert outcome("{{ [1, 2] | selectattr('__class__') | list | length }}", transition({})) == "rendered: 0"


def test_a_pydantic_model_in_a_result_is_only_a_name() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):  # type: ignore[name-defined, misc]
        password: str = "hunter2"

    event = transition({"model": Model()})

    assert outcome("{{ state.result.model }}", event) == "rendered: <\u200bModel>"
    assert outcome("{{ state.result | tojson }}", event) == 'rendered: {"model": "<\u200bModel>"}'
    for source in ("model.password", "model.parse_raw", "model.model_dump", "model['__dict__']"):
        assert outcome("{{ state.result." + source + " }}", event).startswith("stopped")


def run_resources() -> dict[str, tuple[str, float]]:
    """What becomes of each vector that wants time or memory, and the seconds of work it got."""
    event, results = greedy(), {}
    for name, source in RESOURCES.items():
        started = time.process_time()
        told = outcome(source, event)
        results[name] = (told[:300], time.process_time() - started)
    return results


@pytest.fixture(scope="module")
def stopped() -> dict[str, Any]:
    """The report of the process that ran the greedy vectors."""
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, f"the process died: {done.stderr[-2_000:]}"
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("name", RESOURCES)
def test_a_template_cannot_eat_the_machine(name: str, stopped: dict[str, Any]) -> None:
    told, seconds = stopped["results"][name]

    assert told.startswith(("refused", "stopped")) or name in TAME, told
    assert seconds < MAX_SECONDS


def test_no_template_takes_much_memory_on_the_way(stopped: dict[str, Any]) -> None:
    assert stopped["megabytes"] < MAX_MEGABYTES


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (40, 40))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results = run_resources()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"results": results, "megabytes": (after - before) / 1024}))


if __name__ == "__main__":
    _main()
